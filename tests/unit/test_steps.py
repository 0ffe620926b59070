"""What there is to do: nothing where a look agrees with the plan, one reason for each difference."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bramble import registry
from bramble.plan import File, NodePlan, RolePlan, look_at
from bramble.snapshot import Answer, FileState, Output, Snapshot, Unknown
from bramble.steps import Step, Upload, as_dict, install_packages, unit_name, write_files
from tests.unit.good_node import ROLES, good_look, node_plan, settings
from tests.unit.looks import (
    in_container,
    link,
    plain,
    with_answer,
    with_command,
    with_file,
    with_unit_named,
)
from tests.unit.roles.model.good import ADDRESSES, ROUTE
from tests.unit.roles.power.good import GOVERNOR, GOVERNOR_UNIT
from tests.unit.roles.serving.good import EDGE, UNIT, with_process, with_unit
from tests.unit.roles.watchdog.good import SHOW, WATCHDOG

PLAN = node_plan()
GOOD = good_look(PLAN)
ENGINE, MODEL, SERVING = (PLAN.roles[name] for name in ("engine", "model", "serving"))
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
MINE = f"/etc/systemd/system/{UNIT}.d/mine.conf"
MODELS, BIN = "/var/lib/bramble/models", "/opt/bramble/engine/current/bin"
ARGV = GOOD.process(UNIT).argv
GOVERNOR_FILE = f"/etc/systemd/system/{GOVERNOR_UNIT}"
DROP_IN = "/etc/systemd/system.conf.d/99-bramble-watchdog.conf"
CURRENT = "/opt/bramble/engine/current"
MANIFEST = f"{ENGINE.folder}/manifest.json"
HEALTH = f"{SERVING.url}/health"
SECRET = File(path="/etc/bramble/key", text="hunter2\n", mode=0o600, secret=True)


# What there is to do on a fresh node, by the roles that are looked at here.
FRESH = {
    "base": [
        "Set the clock",
        "Install packages",
        "Write apt's settings",
        "Start apt's timers",
        "Set the hostname",
        "Set the time zone",
        "Set the user's keys",
        "Set sshd's options",
        "Set sudo's rule",
    ],
    "storage": [
        "Write the journal's drop-in",
        "Restart the journal",
        "Add log2ram's repository",
        "See that the logs fit into log2ram's memory",
        "Write log2ram's configuration",
        "Install log2ram",
        "Have systemd read log2ram's files",
    ],
    "memory": [
        "See what zram the kernel has",
        "Write memory's files",
        "Set the kernel's values",
        "Use zram as swap",
    ],
    "power": [
        "Write the governor's unit",
        "Set the governor",
    ],
    "boot": [
        "Set the kernel's parameters",
        "Set the firmware's options",
        "Reboot",
    ],
    "engine": [
        "Declare the user that builds",
        "Have the user that builds",
        "Install llama.cpp",
        "Make the release current",
    ],
    "model": [
        "Fetch the model",
    ],
    "serving": [
        "Write the service's files",
        "Create the service's user",
        "Run the service",
        "Leave Debian's HAProxy off",
        "Let clients with a key in",
    ],
    "firewall": [
        "Load the firewall, on trial",
    ],
    "watchdog": [
        "Write the watchdog's drop-in",
        "Arm the watchdog",
    ],
}


def times(runtime: str, reboot: str) -> Output:
    """What systemctl says of the watchdog."""
    return Output(0, f"RuntimeWatchdogUSec={runtime}\nRebootWatchdogUSec={reboot}\n")


def all_steps(look: Snapshot, plan: NodePlan = PLAN) -> dict[str, Step]:
    """The steps of these roles by name."""
    return {step.name: step for name in FRESH for step in steps_of(name, look, plan)}


def steps_of(name: str, look: Snapshot, plan: NodePlan = PLAN) -> tuple[Step, ...]:
    """A role's steps."""
    return registry.role(name).steps(plan.roles[name], plan, look)


def due(look: Snapshot) -> dict[str, str]:
    """The steps that have something to do, with why."""
    return {name: step.why for name, step in all_steps(look).items() if step.why is not None}


def test_a_node_that_is_as_planned_has_nothing_to_do():
    assert due(GOOD) == {}


def test_a_step_with_nothing_to_do_carries_nothing_out():
    assert {(step.program, len(step.query)) for step in all_steps(GOOD).values()} == {("", 0)}


@pytest.mark.parametrize("name", FRESH)
def test_on_a_fresh_node_a_role_has_everything_to_do_in_order(name):
    steps = steps_of(name, Snapshot())
    assert [step.name for step in steps if step.why is not None] == FRESH[name]


@pytest.mark.parametrize("name", [role.name for role in ROLES])
def test_there_are_always_as_many_steps(name):
    """pyinfra needs the same operations on every host, whatever differs there."""
    good, fresh = ([step.name for step in steps_of(name, look)] for look in (GOOD, Snapshot()))
    assert good == fresh


def test_the_look_asks_for_all_that_the_steps_read():
    """Every file, unit, user and URL of a good look is one that the roles asked to see."""
    query = look_at("pi5-a", settings(serving={"expose": "tls"}), ROLES)
    patterns = [Path(pattern) for pattern in query["files"]]
    unasked = [path for path in GOOD.files if not any(Path(path).match(str(p)) for p in patterns)]
    assert unasked == []
    assert set(query["units"]) == set(GOOD.units)
    assert set(query["users"]) == set(GOOD.users)
    assert set(query["http"]) == set(GOOD.http)
    assert set(query["commands"]) == set(GOOD.commands)
    assert set(PLAN.packages) <= set(query["packages"])


# One disagreement each, with the step that must come of it and what must be in its reason.
DISAGREEMENTS = {
    "a file's mode": (
        with_file(GOOD, UNIT_FILE, replace(GOOD.file(UNIT_FILE), mode=0o600)),
        "Write the service's files",
        UNIT_FILE,
    ),
    "a file's owner": (
        with_file(GOOD, UNIT_FILE, replace(GOOD.file(UNIT_FILE), owner="pi")),
        "Write the service's files",
        UNIT_FILE,
    ),
    "a file's group": (
        with_file(GOOD, UNIT_FILE, replace(GOOD.file(UNIT_FILE), group="pi")),
        "Write the service's files",
        UNIT_FILE,
    ),
    "a file's text": (
        with_file(GOOD, UNIT_FILE, plain("[Unit]\n")),
        "Write the service's files",
        UNIT_FILE,
    ),
    "a file that is a link": (
        with_file(GOOD, UNIT_FILE, link("/dev/null")),
        "Write the service's files",
        UNIT_FILE,
    ),
    "a file that is missing": (
        with_file(GOOD, UNIT_FILE, None),
        "Write the service's files",
        UNIT_FILE,
    ),
    "a file that could not be seen": (
        with_file(GOOD, UNIT_FILE, Unknown("no")),
        "Write the service's files",
        UNIT_FILE,
    ),
    "a package that is missing": (
        replace(GOOD, packages={**GOOD.packages, "cmake": None}),
        "Install packages",
        "cmake",
    ),
    "packages that could not be seen": (
        replace(GOOD, packages=Unknown("no")),
        "Install packages",
        " ".join(PLAN.packages),
    ),
    "a release without its manifest": (
        replace(GOOD, files={path: f for path, f in GOOD.files.items() if path != MANIFEST}),
        "Install llama.cpp",
        f"release {ENGINE.release} is not there",
    ),
    "a manifest that could not be seen": (
        with_file(GOOD, MANIFEST, Unknown("no")),
        "Install llama.cpp",
        "is not there",
    ),
    "a link to another release": (
        with_file(GOOD, CURRENT, link("releases/000000000000")),
        "Make the release current",
        f"releases/000000000000 -> releases/{ENGINE.release}",
    ),
    "no link to a release": (
        with_file(GOOD, CURRENT, None),
        "Make the release current",
        f"nothing -> releases/{ENGINE.release}",
    ),
    "a link that could not be seen": (
        with_file(GOOD, CURRENT, Unknown("no")),
        "Make the release current",
        f"nothing -> releases/{ENGINE.release}",
    ),
    "a program that was damaged": (
        with_file(
            GOOD,
            f"{CURRENT}/bin/llama-server",
            replace(GOOD.file(f"{CURRENT}/bin/llama-server"), sha256="0" * 64),
        ),
        "Install llama.cpp",
        "is not the one that was built",
    ),
    "a program that is missing": (
        with_file(GOOD, f"{CURRENT}/bin/llama-server", None),
        "Install llama.cpp",
        "has no llama-server",
    ),
    "a model that is missing": (
        with_file(GOOD, MODEL.path, None),
        "Fetch the model",
        f"{MODEL.path} is not there",
    ),
    "a model that could not be seen": (
        with_file(GOOD, MODEL.path, Unknown("no")),
        "Fetch the model",
        f"{MODEL.path} is not there",
    ),
    "a small model with another content": (
        with_file(GOOD, MODEL.path, plain("another")),
        "Fetch the model",
        "has sha256",
    ),
    "a model without its stamp": (
        with_file(GOOD, MODEL.stamp, None),
        "Fetch the model",
        "was never verified",
    ),
    "a stamp that could not be seen": (
        with_file(GOOD, MODEL.stamp, Unknown("no")),
        "Fetch the model",
        "was never verified",
    ),
    "a stamp that is cut short": (
        with_file(GOOD, MODEL.stamp, plain('{"sha256": ')),
        "Fetch the model",
        "changed after it was verified",
    ),
    "a model that was touched since": (
        with_file(GOOD, MODEL.path, replace(GOOD.file(MODEL.path), mtime_ns=8)),
        "Fetch the model",
        "changed after it was verified",
    ),
    "a model that was cut short since": (
        with_file(GOOD, MODEL.path, replace(GOOD.file(MODEL.path), size_bytes=7)),
        "Fetch the model",
        "changed after it was verified",
    ),
    "a stamp of another model": (
        with_file(
            GOOD,
            MODEL.stamp,
            plain(json.dumps({"sha256": "e" * 64, "size": 10**9, "mtime_ns": 7})),
        ),
        "Fetch the model",
        "changed after it was verified",
    ),
    "a governor that is another": (
        with_file(GOOD, GOVERNOR, plain("ondemand\n")),
        "Set the governor",
        "the governor is ondemand",
    ),
    "a governor that the next boot would not have": (
        with_unit_named(GOOD, GOVERNOR_UNIT, enabled=""),
        "Set the governor",
        "is not there",
    ),
    "a governor's unit that systemd has not read": (
        with_unit_named(GOOD, GOVERNOR_UNIT, needs_reload=True),
        "Set the governor",
        "an older unit in memory",
    ),
    "a governor's unit with another text": (
        with_file(GOOD, GOVERNOR_FILE, plain("[Unit]\n")),
        "Write the governor's unit",
        GOVERNOR_FILE,
    ),
    "a watchdog's drop-in that is missing": (
        with_file(GOOD, DROP_IN, None),
        "Write the watchdog's drop-in",
        DROP_IN,
    ),
    "a systemd with the vendor's times": (
        with_command(GOOD, SHOW, times("1min", "2min")),
        "Arm the watchdog",
        "systemd has 60 s and 120 s at a reboot, not 300 s and 300 s at a reboot",
    ),
    "a systemd that did not say": (
        with_command(GOOD, SHOW, Unknown("no")),
        "Arm the watchdog",
        "no",
    ),
    "a device that was not armed": (
        with_file(GOOD, f"{WATCHDOG}/state", plain("inactive\n")),
        "Arm the watchdog",
        "the device is inactive with 300 s",
    ),
    "a device with another time": (
        with_file(GOOD, f"{WATCHDOG}/timeout", plain("15\n")),
        "Arm the watchdog",
        "the device is active with 15 s",
    ),
    "a user that is missing": (
        replace(GOOD, users={**GOOD.users, "llama": None}),
        "Create the service's user",
        "there is no user llama",
    ),
    "a user that builds that is missing": (
        replace(GOOD, users={**GOOD.users, "bramble-build": None}),
        "Have the user that builds",
        "there is no user bramble-build",
    ),
    "a user that builds and may log in": (
        replace(
            GOOD,
            users={
                **GOOD.users,
                "bramble-build": GOOD.users["bramble-build"] | {"shell": "/bin/sh"},
            },
        ),
        "Have the user that builds",
        "bramble-build has /bin/sh, or a password",
    ),
    "a process with another context": (
        with_process(GOOD, argv=tuple("256" if w == "2048" else w for w in ARGV)),
        "Run the service",
        "--ctx-size is 256, planned 2048",
    ),
    "a process with a key that is not planned": (
        with_process(GOOD, argv=(*ARGV, "--api-key", "hunter2")),
        "Run the service",
        "--api-key is given, and not planned",
    ),
    "a process with a variable that its program reads": (
        with_process(GOOD, variables=("LLAMA_ARG_N_PREDICT", "LLAMA_CACHE", "PATH")),
        "Run the service",
        "LLAMA_ARG_N_PREDICT is in its environment, and is not planned",
    ),
    "a process outside of its sandbox": (
        with_process(GOOD, status={}),
        "Run the service",
        "NoNewPrivs is not known, not 1",
    ),
    "a drop-in of somebody's": (
        with_unit(GOOD, properties={**GOOD.unit(UNIT).properties, "DropInPaths": MINE}),
        "Set drop-ins of the unit aside",
        MINE,
    ),
    "a sandbox that systemd has not": (
        with_unit(GOOD, properties={**GOOD.unit(UNIT).properties, "ProtectHome": "no"}),
        "Run the service",
        "ProtectHome is no, planned yes",
    ),
    "a model folder of the service's": (
        with_file(GOOD, MODELS, replace(GOOD.file(MODELS), owner="llama")),
        "Give the model's folder to root",
        f"{MODELS} belongs to llama",
    ),
    "a program that was replaced": (
        with_file(GOOD, f"{BIN}/llama-bench", plain("#!/bin/sh\n", 0o755)),
        "Install llama.cpp",
        "is not the one that was built",
    ),
    "releases that others may write": (
        with_file(GOOD, "/opt/bramble", replace(GOOD.file("/opt/bramble"), mode=0o777)),
        "Give the releases to root",
        "/opt/bramble may be written by others",
    ),
    "a program that its builder owns": (
        with_file(
            GOOD,
            f"{BIN}/llama-server",
            replace(GOOD.file(f"{BIN}/llama-server"), owner="bramble-build"),
        ),
        "Give the releases to root",
        "llama-server belongs to bramble-build",
    ),
    "a process of another plan": (
        with_process(GOOD, environ={"BRAMBLE_PLAN": "000000000000"}),
        "Run the service",
        f"what is planned (plan 000000000000, not {SERVING.plan_id})",
    ),
    "a process without a plan": (
        with_process(GOOD, environ={}),
        "Run the service",
        "it was not started by the unit that bramble writes",
    ),
    "a process of another program": (
        with_process(GOOD, exe="/usr/bin/llama-server"),
        "Run the service",
        "as it was built",
    ),
    "a process of a replaced program": (
        with_process(GOOD, exe_sha256="0" * 64),
        "Run the service",
        "as it was built",
    ),
    "a unit that is inactive": (
        with_unit(GOOD, active="inactive", sub="dead", process=None),
        "Run the service",
        f"{UNIT} is inactive",
    ),
    "a unit that failed": (
        with_unit(GOOD, active="failed", process=None),
        "Run the service",
        f"{UNIT} is failed",
    ),
    "a process that could not be seen": (
        with_unit(GOOD, process=Unknown("it ended")),
        "Run the service",
        "does not show its process: it ended",
    ),
    "units that could not be seen": (
        replace(GOOD, units=Unknown("systemctl: not found")),
        "Run the service",
        "systemctl: not found",
    ),
    "a unit that is not enabled": (
        with_unit(GOOD, enabled="disabled"),
        "Run the service",
        "would not start at boot",
    ),
    "a unit that systemd has not read again": (
        with_unit(GOOD, needs_reload=True),
        "Run the service",
        "older unit in memory",
    ),
    "a server that still loads": (
        with_answer(GOOD, HEALTH, Answer(503, "")),
        "Run the service",
        "does not answer /health with 200",
    ),
    "a server that does not listen": (
        with_answer(GOOD, HEALTH, Answer(0, "")),
        "Run the service",
        "does not answer /health with 200",
    ),
    "a server that does not say": (
        with_answer(GOOD, HEALTH, Unknown("timed out")),
        "Run the service",
        "does not answer /health with 200",
    ),
}


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_one_disagreement_makes_its_step_due_with_the_reason(name):
    look, step, why = DISAGREEMENTS[name]
    found = due(look)
    assert why in found[step]
    # What is written again has to be read, and a release that is built has to be tested and run.
    assert set(found) <= {
        step,
        "Make the release current",
        "Run the service",
        "Set the governor",
        "Start apt's timers",
        "Arm the watchdog",
        "Use a swap file on the SSD",
        "Leave Debian's HAProxy off",
        "Let clients with a key in",
        "Load the firewall, on trial",
    }


def test_a_release_that_is_installed_anew_is_tested_anew():
    look, _, _ = DISAGREEMENTS["a program that is missing"]
    assert due(look)["Make the release current"] == "it is installed again"


def test_only_the_missing_packages_are_installed_in_one_run():
    look = replace(GOOD, packages={**GOOD.packages, "cmake": None, "ccache": None})
    step = all_steps(look)["Install packages"]
    assert step.query == {"packages": ["ccache", "cmake"]}
    assert (step.program, step.detached) == ("apt_install", True)


def test_a_small_model_with_the_right_hash_needs_no_stamp():
    small = FileState("file", 0o644, "root", "root", 5, 1, sha256=MODEL.sha256)
    look = with_file(with_file(GOOD, MODEL.path, small), MODEL.stamp, None)
    assert due(look) == {}


def test_only_differing_files_are_written():
    step = all_steps(with_file(GOOD, UNIT_FILE, None))["Write the service's files"]
    (written,) = step.query["files"]
    assert written == {
        "path": UNIT_FILE,
        "text": SERVING.files[1].text,
        "mode": 0o644,
        "owner": "root",
        "group": "root",
    }


def test_a_unit_that_is_written_is_also_read_by_systemd_in_the_same_run():
    found = due(with_file(GOOD, UNIT_FILE, plain("[Unit]\n")))
    assert found["Run the service"] == "systemd must read the unit that is written again"


def test_the_governor_is_left_alone_where_none_is_planned():
    plan = node_plan(power={"governor": None})
    assert plan.roles["power"].files == ()
    look = with_unit_named(with_file(GOOD, GOVERNOR, None), GOVERNOR_UNIT, enabled="")
    assert all_steps(look, plan)["Set the governor"].why is None


def test_a_governors_unit_that_is_written_anew_is_started_again():
    found = due(with_file(GOOD, GOVERNOR_FILE, plain("[Unit]\n")))
    assert found["Set the governor"] == "its unit is written again"


def test_a_containers_governor_and_watchdog_are_its_hosts_and_left_alone():
    look = with_file(with_file(GOOD, GOVERNOR, plain("ondemand\n")), f"{WATCHDOG}/timeout", None)
    look = with_file(look, f"{WATCHDOG}/state", plain("inactive\n"))
    assert due(in_container(look)) == {}


def test_a_node_without_a_watchdog_device_has_nothing_to_arm():
    assert due(with_file(GOOD, f"{WATCHDOG}/state", None)) == {}


def test_a_watchdog_that_is_switched_off_is_disarmed_whatever_the_vendor_says():
    plan = node_plan(watchdog={"enabled": False})
    (drop_in,) = plan.roles["watchdog"].files
    assert drop_in.text.endswith("[Manager]\nRuntimeWatchdogSec=0\nRebootWatchdogSec=0\n")
    off = with_file(good_look(plan), f"{WATCHDOG}/state", plain("inactive\n"))
    assert all_steps(with_command(off, SHOW, times("0", "0")), plan)["Arm the watchdog"].why is None
    still = with_command(good_look(plan), SHOW, times("0", "0"))
    assert "the device is active" in all_steps(still, plan)["Arm the watchdog"].why


def test_the_watchdog_is_armed_after_the_service_runs():
    names = list(all_steps(GOOD))
    assert names.index("Arm the watchdog") > names.index("Run the service")


def test_a_service_that_has_to_run_is_given_its_whole_deadline():
    step = all_steps(Snapshot())["Run the service"]
    assert step.query["deadline_s"] == SERVING.start_deadline_s
    assert step.timeout_s > SERVING.start_deadline_s


def test_long_work_is_detached_and_short_work_is_not():
    steps = all_steps(Snapshot())
    assert {name for names in FRESH.values() for name in names if steps[name].detached} == {
        "Install packages",
        "Install log2ram",
        "Add log2ram's repository",
        "Install llama.cpp",
        "Fetch the model",
        "Run the service",
    }


def test_a_local_archive_and_a_local_model_are_uploaded():
    archive = {"path": "src.tar", "sha256": "a" * 64, "subdir": ""}
    plan = node_plan(
        engine={"source": {"archive": archive}}, model={"path": "toy.gguf", "url": None}
    )
    steps = all_steps(Snapshot(), plan)
    (source,) = steps["Install llama.cpp"].uploads
    assert source == Upload(Path("/inventory/src.tar"), f"/var/tmp/bramble-source-{'a' * 12}")
    assert steps["Install llama.cpp"].query["source"]["upload"] == source.remote
    (model,) = steps["Fetch the model"].uploads
    assert model.local == Path("/inventory/toy.gguf")
    assert steps["Fetch the model"].query["upload"] == model.remote


# Differences for people


def diff_of(file: File, seen: FileState | Unknown | None) -> str:
    (found,) = write_files("x", [file], Snapshot(files={file.path: seen})).diffs
    return found.unified


NOTE = File(path="/etc/note", text="one\ntwo\n")


def test_a_new_file_is_shown_whole():
    assert diff_of(NOTE, None) == "--- /dev/null\n+++ /etc/note\n@@ -0,0 +1,2 @@\n+one\n+two\n"


def test_a_changed_file_is_shown_as_a_diff():
    found = diff_of(NOTE, plain("one\n2\n"))
    assert found.startswith("--- /etc/note\n+++ /etc/note\n")
    assert "-2\n+two\n" in found


def test_a_changed_mode_is_shown_alone():
    assert diff_of(NOTE, plain(NOTE.text, 0o600)) == (
        "/etc/note: 0600 root:root -> 0644 root:root\n"
    )


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    "seen", [None, Unknown("no"), plain("swordfish\n", 0o600), replace(plain("x"), sha256=None)]
)
def test_a_secret_is_shown_by_its_hash_alone(seen):
    found = diff_of(SECRET, seen)
    assert "hunter2" not in found
    assert "swordfish" not in found
    assert SECRET.sha256[:12] in found
    assert "(secret)" in found


def test_a_plan_for_people_and_programs_has_no_secret_in_it():
    plan = NodePlan("pi5-a", PLAN.board, {"toy": RolePlan(files=(SECRET, NOTE))})
    step = write_files("Write", plan.roles["toy"].files, Snapshot())
    shown = as_dict(plan, {"toy": [step]})
    assert "hunter2" not in json.dumps(shown)
    assert [(file["path"], file["text"]) for file in shown["files"]] == [
        ("/etc/bramble/key", None),
        ("/etc/note", "one\ntwo\n"),
    ]


def test_a_plan_for_programs_has_exactly_the_documented_keys():
    shown = as_dict(PLAN, {"serving": list(all_steps(Snapshot()).values())})
    assert set(shown) == {
        "host",
        "board",
        "pins",
        "refused",
        "warned",
        "packages",
        "files",
        "steps",
    }
    assert set(shown["board"]) == {"model", "kind", "memory_mib", "cores", "repacks"}
    assert {frozenset(file) for file in shown["files"]} == {
        frozenset({"role", "path", "mode", "owner", "text"})
    }
    assert {frozenset(step) for step in shown["steps"]} == {
        frozenset({"role", "step", "why", "note", "diffs"})
    }
    assert shown["files"][0]["mode"] == "0644"
    assert shown["files"][0]["owner"] == "root:root"
    assert json.loads(json.dumps(shown)) == shown


# Transient units


def test_the_same_work_has_the_same_unit_in_every_run():
    first = install_packages("Install packages", ["curl", "cmake"], Snapshot())
    again = install_packages("by another name", ["curl", "cmake"], Snapshot(packages=Unknown("no")))
    other = install_packages("Install packages", ["curl"], Snapshot())
    assert unit_name(first) == unit_name(again) != unit_name(other)
    assert unit_name(first).startswith("bramble-apt-install-")


def test_every_detached_step_has_a_unit_of_its_own():
    names = [unit_name(step) for step in all_steps(Snapshot()).values() if step.detached]
    assert len(set(names)) == len(names) == 6


# Taking back


def taken_back(look: Snapshot) -> dict[str, dict[str, Step]]:
    """By role, the steps that have something to take back."""
    found = {
        name: role.revert(PLAN.roles[name], PLAN, look)
        for name, role in ((role.name, role) for role in ROLES)
        if name in ("engine", "model", "serving")
    }
    return {
        name: {step.name: step for step in steps if step.why is not None}
        for name, steps in found.items()
    }


def test_the_service_is_ended_before_its_files_go():
    steps = taken_back(GOOD)["serving"]
    assert list(steps)[:3] == ["End the way in", "Remove the way in's files", "Forget the way in"]
    assert list(steps)[3:] == [
        "End the service",
        "Remove the service's files",
        "Forget the service",
    ]
    assert steps["End the service"].query["disable"] == [UNIT]
    assert UNIT_FILE in steps["Remove the service's files"].query["paths"]
    removed = steps["Remove the service's files"].diffs[-1].removed
    assert any(line.startswith(f"ExecStart={CURRENT}/bin/llama-server") for line in removed)


def test_a_service_that_is_gone_leaves_nothing_to_take_back():
    gone = with_unit(GOOD, load="not-found", active="inactive", enabled="", process=None)
    gone = with_unit_named(gone, EDGE, load="not-found", active="inactive", enabled="")
    for file in SERVING.files:
        gone = with_file(gone, file.path, None)
    assert taken_back(gone)["serving"] == {}


def test_an_ended_service_still_has_files_to_remove():
    ended = with_unit(GOOD, active="inactive", enabled="disabled", process=None)
    assert list(taken_back(ended)["serving"])[3:] == [
        "Remove the service's files",
        "Forget the service",
    ]


def test_engine_leaves_what_was_built_and_model_leaves_the_file():
    steps = taken_back(GOOD)
    assert steps["engine"]["Make no release current"].query == {"paths": [CURRENT]}
    assert list(steps["model"]) == ["Have the models' folder on the card"]
    good = "/opt/bramble/engine/good.json"
    assert steps["engine"]["Forget which releases were good"].query == {"paths": [good]}
    user = "/etc/sysusers.d/bramble-build.conf"
    assert steps["engine"]["Remove the file of the user that builds"].query == {"paths": [user]}
    gone = GOOD
    for path in (CURRENT, good, user):
        gone = with_file(gone, path, None)
    assert taken_back(gone)["engine"] == {}


def test_a_file_that_could_not_be_seen_is_left_to_the_program():
    blind = with_file(GOOD, CURRENT, Unknown("no"))
    assert taken_back(blind)["engine"]["Make no release current"].why == CURRENT


# Clearing up


def pruned(*names, look=GOOD):
    """The one step that clears up where these lie beside the planned model."""
    folder = Path(MODEL.path).parent
    for name in names:
        look = with_file(look, str(folder / name), plain("{}"))
    (step,) = registry.role("model").prune(MODEL, PLAN, look)
    return step


@pytest.mark.parametrize("beside", [(), ("old.gguf.json",), (f"{Path(MODEL.path).name}.part",)])
def test_nothing_is_cleared_up_where_one_model_besides_is_the_predecessor(beside):
    assert pruned(*beside).why is None


def test_two_models_besides_and_parts_are_looked_at_on_the_node():
    step = pruned("old.gguf.json", "older.gguf.json")
    assert step.why == "old.gguf, older.gguf"
    assert step.query == {
        "folder": str(Path(MODEL.path).parent),
        "planned": [MODEL.path],
        "home": "/opt/bramble/engine",
        "list": False,
    }
    assert pruned("left.gguf.part").why == "left.gguf.part"
    assert pruned("bad.gguf.damaged").why == "bad.gguf"
    assert pruned(f"{Path(MODEL.path).name}.damaged").why is None
    assert pruned(look=replace(GOOD, files=Unknown("no"))).why == "the node would not say which"


# The model, passed on


def fetch(look):
    *_, step, _noted = registry.role("model").steps(MODEL, PLAN, look)
    return step


def test_a_node_that_has_the_model_can_give_it_and_one_with_a_part_says_how_much():
    assert (fetch(GOOD).why, fetch(GOOD).shared.there_bytes) == (None, 10**9)
    part = FileState("file", 0o644, "root", "root", 77, 7)
    look = with_file(with_file(GOOD, MODEL.path, None), f"{MODEL.path}.part", part)
    step = fetch(look)
    assert step.why is not None
    assert (step.shared.there_bytes, step.shared.path) == (77, MODEL.path)
    assert step.shared.sources == ("http://models.example.org/toy-q4_0.gguf",)
    assert [source["url"] for source in step.query["sources"]] == list(step.shared.sources)


def test_the_unit_of_a_fetch_does_not_depend_on_who_gives_it():
    look = with_file(GOOD, MODEL.path, None)
    part = FileState("file", 0o644, "root", "root", 77, 7)
    assert unit_name(fetch(look)) == unit_name(fetch(with_file(look, f"{MODEL.path}.part", part)))


def test_the_addresses_of_a_node_are_those_that_it_tells():
    said = Output(0, "10.0.0.7 192.168.1.7 fd00::7 \n")
    look = with_command(with_file(GOOD, MODEL.path, None), ADDRESSES, said)
    assert fetch(look).shared.addresses == ("10.0.0.7", "192.168.1.7", "fd00::7")


@pytest.mark.parametrize("said", [Unknown("no"), None, Output(1, "x")])
def test_a_node_that_tells_no_address_is_let_in_by_none(said):
    look = with_command(with_file(GOOD, MODEL.path, None), ADDRESSES, said)
    assert fetch(look).shared.addresses == ()


RADIO = FileState("directory", 0o755, "root", "root", 0, 0)


@pytest.mark.parametrize(
    ("device", "radio", "wireless"),
    [("wlan0", "wlan0", True), ("eth0", "wlan0", False), ("wlan0", "wlan1", False)],
)
def test_a_node_whose_default_route_is_a_radio_is_on_wi_fi(device, radio, wireless):
    said = Output(0, f'[{{"dst":"default","dev":"{device}"}}]')
    look = with_file(with_command(GOOD, ROUTE, said), f"/sys/class/net/{radio}/wireless", RADIO)
    assert fetch(look).shared.wireless is wireless


@pytest.mark.parametrize(
    "said", [Unknown("no"), None, Output(1, ""), Output(0, "x"), Output(0, "")]
)
def test_a_node_that_does_not_say_counts_as_on_a_wire(said):
    look = with_file(with_command(GOOD, ROUTE, said), "/sys/class/net/wlan0/wireless", RADIO)
    assert fetch(look).shared.wireless is False


def test_a_model_that_is_sent_is_not_passed_on():
    own = str(Path(__file__).parents[2] / "models" / "bramble-demo-q8_0.gguf")
    sent = node_plan(model={"name": "demo", "url": None, "path": own, "sha256": "0" * 64})
    model = registry.role("model")
    *_, step, _noted = model.steps(sent.roles["model"], sent, good_look(sent))
    assert step.shared is None


def test_a_drop_in_is_set_aside_with_its_content_or_refused_as_the_person_set_it():
    look = with_unit(GOOD, properties={**GOOD.unit(UNIT).properties, "DropInPaths": MINE})
    step = all_steps(look)["Set drop-ins of the unit aside"]
    assert (step.program, step.query) == ("set_aside", {"paths": [MINE]})
    assert MINE in all_steps(look)["Run the service"].why
    plan = node_plan(serving={"foreign_drop_ins": "refuse"})
    step = all_steps(look, plan)["Set drop-ins of the unit aside"]
    assert step.program == "refuse"
    assert "or set serving.foreign_drop_ins to set_aside" in step.why


def test_a_drop_in_of_other_units_too_is_nobodys_to_move_and_no_reason_to_restart():
    paths = "/etc/systemd/system/service.d/all.conf /etc/systemd/system/llama-.service.d/x.conf"
    look = with_unit(GOOD, properties={**GOOD.unit(UNIT).properties, "DropInPaths": paths})
    assert due(look) == {}


def test_no_value_of_an_argument_that_is_not_planned_is_told():
    look = with_process(GOOD, argv=(*ARGV, "--api-key", "hunter2", "--api-key=hunter3"))
    why = due(look)["Run the service"]
    assert why == "--api-key is given, and not planned"


def test_what_others_could_write_is_given_back_outermost_first_and_believed_no_longer():
    both = {"/var/lib/bramble": "pi", MODELS: "llama"}
    look = GOOD
    for path, owner in both.items():
        look = with_file(look, path, replace(GOOD.file(path), owner=owner))
    step = all_steps(look)["Give the model's folder to root"]
    assert (step.program, step.look_again) == ("give_to_root", True)
    assert step.query["paths"] == list(both)
    assert any(path.endswith(".gguf.json") for path in step.query["forget"])


def test_a_folder_that_is_not_ours_alone_is_left_for_a_person():
    look = with_file(GOOD, "/opt", replace(GOOD.file("/opt"), owner="pi"))
    assert due(look) == {}
