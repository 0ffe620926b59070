"""Faults to plant in the product: for each, the tests that must turn red, and the row that they prove.

A mutation replaces a text that its file has once. `tests/faults/test_mutations.py` plants one at a time
in a copy of the sources.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One fault: what it takes away, where, and what must see it; `row` None: no row, yet a promise."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    row: str | None


REMOTE = "tests/unit/remote"
POWER_CUT = (
    "tests/durability/test_power_cut.py::test_a_power_cut_leaves_the_whole_old_or_the_whole_new"
)
FETCH = f"{REMOTE}/test_node_fetch_model.py"
BOUNDARY = "tests/deploys/test_host_boundary.py"

MUTATIONS = (
    Mutation(
        "a file is renamed before its content is on the disk",
        "bramble/remote/atomic.py",
        "                os.fchmod(file.fileno(), mode)\n            os.fsync(file.fileno())\n",
        "                os.fchmod(file.fileno(), mode)\n",
        (f"{POWER_CUT}[write_files]",),
        "F4",
    ),
    Mutation(
        "a rename is not brought to the disk",
        "bramble/remote/atomic.py",
        "        os.rename(source, target)\n        sync(folder)\n"
        "        if new is not None:\n            os.fsync(new)\n    sync(folder)\n",
        "        os.rename(source, target)\n",
        (f"{POWER_CUT}[cmdline.txt]",),
        "F4",
    ),
    Mutation(
        "a file is written in its place and not renamed to it",
        "bramble/remote/atomic.py",
        "        rename(temporary, path)\n    except OSError:",
        '        with open(temporary, "rb") as new, open(path, "wb") as file:\n'
        "            file.write(new.read())\n        unlink(temporary)\n    except OSError:",
        ("tests/faults/test_broken_disks.py::test_a_disk_that_is_full_at_any_write[write_files]",),
        "F13",
    ),
    Mutation(
        "a look may be silent for as long as it likes",
        "bramble/pyinfra/connection.py",
        "run(host, program, query, None)",
        "run(host, program, query, 120)",
        (f"{BOUNDARY}::test_each_fault_is_told_of_its_own_host[hangs in the middle]",),
        "F5",
    ),
    Mutation(
        "an exception of one host goes through the boundary",
        "bramble/pyinfra/boundary.py",
        "    except Exception as error:  # noqa: BLE001",
        "    except LookupError as error:  #",
        (
            "tests/faults/test_hostile_node.py::test_what_bramble_does_not_know_ends_no_other_hosts_run",
        ),
        "F27",
    ),
    Mutation(
        "what arrived is used whatever its sha256 is",
        "bramble/remote/fetch_model.py",
        "    if found != wanted:\n",
        "    if not found:\n",
        (f"{FETCH}::test_another_content_is_thrown_away_and_the_old_file_kept",),
        "F10",
    ),
    Mutation(
        "a range is taken for the one that was asked for",
        "bramble/remote/download.py",
        "            if not found or int(found[1]) != have:\n",
        "            if not found:\n",
        (f"{FETCH}::test_a_range_that_was_not_asked_for_is_refused_not_spliced[bytes 0-9/10]",),
        "F9",
    ),
    Mutation(
        "a download that tells no length takes the last of the disk",
        "bramble/remote/download.py",
        "                looked_at = done\n                self.keep_reserve(done, total)\n",
        "                looked_at = done\n",
        (
            f"{REMOTE}/test_node_full_disks.py::"
            "test_a_model_that_tells_no_length_and_never_ends_leaves_the_disk_as_it_was[tmpfs]",
        ),
        "F13",
    ),
    Mutation(
        "a secret is shown in the difference of its file",
        "bramble/steps.py",
        "    if file.secret:\n        before",
        "    if file.secret and known is None:\n        before",
        ("tests/unit/test_steps.py::test_a_secret_is_shown_by_its_hash_alone[seen2]",),
        "F28",
    ),
    Mutation(
        "sudo's password stays in the environment, where all that is started has it",
        "bramble/sudo_password.py",
        'if given := os.environ.pop(VARIABLE, "")',
        'if given := os.environ.get(VARIABLE, "")',
        ("tests/unit/test_sudo_password.py::test_it_is_taken_out_of_the_environment",),
        "F28",
    ),
    Mutation(
        "what a node says is printed as it is",
        "bramble/pyinfra/telling.py",
        "        shown = sanitize(line[:LONGEST])\n",
        "        shown = line[:LONGEST]\n",
        ("tests/faults/test_hostile_node.py::test_nothing_of_what_it_says_controls_the_terminal",),
        None,
    ),
    Mutation(
        "apt is run without waiting for its locks",
        "bramble/remote/apt.py",
        "        problem = wait(LOCKS, holder)\n        if problem:\n",
        "        problem = None\n        if problem:\n",
        (
            f"{REMOTE}/test_node_apt_install.py::"
            "test_every_lock_is_waited_for_with_words_until_it_is_free[lists]",
        ),
        "F15",
    ),
    Mutation(
        "a link in the place of a file is written over",
        "bramble/remote/atomic.py",
        "    if stat.S_ISREG(status.st_mode):\n        return None\n    kind =",
        "    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):\n"
        "        return None\n    kind =",
        (f"{REMOTE}/test_node_write_files.py::test_a_symbolic_link_is_refused_and_left_alone",),
        "F29",
    ),
    Mutation(
        "a folder of somebody else's is written to by root",
        "bramble/remote/owned.py",
        "    if status.st_uid not in (0, os.geteuid()):\n",
        "    if status.st_uid not in (0, os.geteuid(), status.st_uid):\n",
        (
            f"{REMOTE}/test_node_owned.py::"
            "test_a_folder_that_others_may_write_is_refused_with_what_to_do[owner]",
        ),
        "F29",
    ),
    Mutation(
        "a release may take for ever to compute",
        "bramble/remote/switch_engine.py",
        'done = run([bench, "-m", model, *options], TIMEOUT_S, user)',
        'done = run([bench, "-m", model, *options], None, user)',
        (
            f"{REMOTE}/test_node_switch_engine.py::test_a_release_that_hangs_leaves_the_old_one_current",
        ),
        "F12",
    ),
    Mutation(
        "what is packed on a node is unpacked wherever it says",
        "bramble/llama/store.py",
        " or not _PLAIN.fullmatch(member.name)",
        "",
        (
            "tests/unit/test_store.py::"
            "test_a_program_that_leads_elsewhere_is_not_taken_though_its_manifest_lists_it[../../evil]",
        ),
        None,
    ),
)
