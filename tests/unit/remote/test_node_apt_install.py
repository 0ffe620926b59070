"""Packages are installed after repair, with fresh lists where they are needed, and tried once more."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bramble.remote import apt, apt_install

HOLD = """
import fcntl, sys
files = [open(path, "wb") for path in sys.argv[1:]]
for file in files:
    fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node without interrupted work and with lists of today; it records what is called."""
    updates, lists = tmp_path / "updates", tmp_path / "lists"
    updates.mkdir()
    lists.mkdir()
    (lists / "mirror_dists_bookworm_main_binary-arm64_Packages").write_text("x")
    monkeypatch.setattr(apt_install, "UPDATES", str(updates))
    monkeypatch.setattr(apt_install, "LISTS", str(lists))
    monkeypatch.setattr(apt_install, "LOCK", str(tmp_path / "lock"))
    return Apt(monkeypatch, updates, lists)


class Apt:
    """Answers each call with the next code and words, 0 and none when there are none left."""

    def __init__(self, monkeypatch, updates, lists):
        self.updates, self.lists, self.answers, self.argvs = updates, lists, [], []
        self.updated, self.audits = [], []
        monkeypatch.setattr(apt, "call", self.call)
        monkeypatch.setattr(apt, "LOCKS", ())
        monkeypatch.setattr(apt_install, "audit", self.audit)

    def audit(self):
        return self.audits.pop(0) if self.audits else []

    def call(self, *argv):
        self.argvs.append(argv)
        answers = self.updated if "update" in argv else self.answers if "install" in argv else []
        return answers.pop(0) if answers else (0, "")

    @property
    def verbs(self):
        words = ("update", "install", "--configure")
        return [next(word for word in words if word in argv) for argv in self.argvs]


def install(*packages):
    return apt_install.main({"packages": list(packages)})


def test_fresh_lists_are_not_updated(node):
    assert install("curl", "cmake") == 0
    assert node.verbs == ["install"]
    assert node.argvs[0][-3:] == ("--no-install-recommends", "curl", "cmake")


def test_apt_asks_nothing_and_takes_nothing_unsigned_whatever_the_node_says(node):
    assert install("curl") == 0
    (argv,) = node.argvs
    assert argv[0] == "apt-get"
    assert "-y" in argv
    assert "APT::Get::AllowUnauthenticated=false" in argv
    assert "Acquire::AllowInsecureRepositories=false" in argv
    assert not [word for word in argv if word.startswith("--allow")]
    assert apt.ENVIRONMENT["DEBIAN_FRONTEND"] == "noninteractive"
    assert apt.ENVIRONMENT["NEEDRESTART_MODE"] == "l"
    assert apt.ENVIRONMENT["APT_LISTCHANGES_FRONTEND"] == "none"


def age(node, hours):
    for path in node.lists.iterdir():
        seen = path.stat().st_mtime - hours * 3600
        os.utime(path, (seen, seen))


def test_old_lists_are_updated_first(node):
    age(node, 25)
    assert install("curl") == 0
    assert node.verbs == ["update", "install"]


def test_the_newest_list_counts(node):
    age(node, 25)
    (node.lists / "other_Packages.lz4").write_text("x")
    assert install("curl") == 0
    assert node.verbs == ["install"]


def test_no_lists_are_old_lists(node):
    for path in node.lists.iterdir():
        path.unlink()
    (node.lists / "lock").write_text("")
    assert install("curl") == 0
    assert node.verbs == ["update", "install"]


def test_a_folder_of_lists_that_is_missing_is_old_too(node, monkeypatch):
    monkeypatch.setattr(apt_install, "LISTS", str(node.lists / "none"))
    assert install("curl") == 0
    assert node.verbs == ["update", "install"]


def test_a_failure_is_tried_once_more_after_an_update(node, capsys):
    node.answers = [(100, "E: no"), (0, "")]
    assert install("curl") == 0
    assert node.verbs == ["install", "update", "install"]
    assert "trying once more" in capsys.readouterr().out


def test_a_failure_with_fresh_lists_is_final(node):
    age(node, 25)
    node.answers = [(100, "E: no"), (0, "")]
    assert install("curl") == 100
    assert node.verbs == ["update", "install"]


def test_a_second_failure_is_told_in_a_sentence_with_apts_own_words(node, capsys):
    node.answers = [(100, "E: Unable to locate package nonsense")] * 2
    assert install("curl", "nonsense") == 100
    assert node.verbs == ["install", "update", "install"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        ":: apt could not install curl nonsense: no source of this node has such a package "
        "(E: Unable to locate package nonsense). Fix that, then run again."
    )


def test_lists_that_could_not_be_updated_are_told_with_their_cause(node, capsys):
    age(node, 25)
    node.updated = [(100, "Err:1 http://x bookworm InRelease\n  Could not resolve 'x'\nE: failed")]
    node.answers = [(100, "E: Unable to locate package curl")]
    assert install("curl") == 100
    reported = capsys.readouterr().out
    assert (
        ":: the package lists could not all be updated: the mirror's name is not resolved; look at "
        "the node's DNS and network (Could not resolve 'x')"
    ) in reported


def test_one_source_of_several_that_fails_does_not_stand_in_the_way(node, capsys):
    age(node, 25)
    node.updated = [(100, "W: GPG error: http://other bookworm InRelease: NO_PUBKEY 0E98")]
    assert install("curl") == 0
    assert "a signature does not hold, and nothing is taken unsigned" in capsys.readouterr().out


def test_a_lock_that_is_held_for_too_long_is_told_and_not_tried_again(node, monkeypatch, capsys):
    monkeypatch.setattr(
        apt, "wait", lambda paths, held: "PID 7 (apt-get) still holds x after 600 s"
    )
    assert install("curl") == apt.BUSY
    assert node.argvs == []
    assert "could not install curl: PID 7 (apt-get) still holds x" in capsys.readouterr().out


def test_what_a_killed_dpkg_left_half_done_is_finished_first(node, capsys):
    (node.updates / "0001").write_text("x")
    assert install("curl") == 0
    assert node.verbs == ["--configure", "install"]
    assert "--force-confold" in node.argvs[0]
    assert "dpkg was interrupted" in capsys.readouterr().out


def test_what_cannot_be_configured_is_unpacked_again(node):
    node.audits = [["htop"], ["htop"], ["htop"], []]
    assert install() == 0
    assert node.verbs == ["--configure", "update", "install"]
    assert node.argvs[-1][-4:] == ("install", "--reinstall", "--fix-broken", "htop")


def test_what_stays_half_installed_stops_all_else_and_is_named(node, capsys):
    node.audits = [["htop"]] * 4
    assert install("curl") == 1
    assert "curl" not in node.argvs[-1]
    assert "still half installed: htop" in capsys.readouterr().out


def test_with_nothing_to_repair_and_to_install_nothing_is_called(node):
    assert install() == 0
    assert node.argvs == []


def test_dpkg_is_not_run_while_another_holds_the_lock(node, held, monkeypatch, capsys):
    node.audits = [["htop"]] * 2
    monkeypatch.setattr(apt, "WAIT_S", 0)
    with held(apt_install.LOCK) as pid:
        assert install("curl") == 1
    assert node.argvs == []
    assert f":: PID {pid} (" in capsys.readouterr().out


def test_what_another_one_was_at_needs_no_repair_once_it_is_done(node):
    node.audits = [["htop"]]
    assert install("curl") == 0
    assert node.verbs == ["install"]


# Locks, held by another process as apt holds them


@pytest.fixture
def held():
    """Hold locks in another process while a block runs, which is told that process's number."""

    class Held:
        def __init__(self, *paths):
            argv = [sys.executable, "-c", HOLD, *(str(path) for path in paths)]
            self.process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

        def __enter__(self):
            assert self.process.stdout.readline() == "held\n"
            return self.process.pid

        def free(self):
            self.process.communicate()

        def __exit__(self, *error):
            self.free()

    return Held


def test_nobody_holds_a_lock_that_is_free_or_not_there(tmp_path):
    (tmp_path / "lock").touch()
    assert apt.holder(str(tmp_path / "lock")) is None
    assert apt.holder(str(tmp_path / "none")) is None


def test_who_holds_a_lock_is_told_by_number_and_name(tmp_path, held):
    with held(tmp_path / "lock") as pid:
        assert apt.holder(str(tmp_path / "lock")).startswith(f"PID {pid} (python3")


@pytest.mark.fault("F15")
@pytest.mark.parametrize("name", ["lists", "archives", "frontend"])
def test_every_lock_is_waited_for_with_words_until_it_is_free(
    tmp_path, held, monkeypatch, capsys, name
):
    paths = [str(tmp_path / each) for each in ("frontend", "lists", "archives")]
    monkeypatch.setattr(apt, "LOCKS", paths)
    monkeypatch.setattr(apt, "call", lambda *argv: (0, "done"))
    lock = held(tmp_path / name)
    rounds = []

    def sleep(seconds):
        rounds.append(seconds)
        if len(rounds) == 3:
            lock.free()

    with lock as pid:
        monkeypatch.setattr(apt.time, "sleep", sleep)
        assert apt.run("update") == (0, "done")
    assert len(rounds) == 3
    reported = capsys.readouterr().out
    assert reported.startswith(f":: waiting for PID {pid} (python3")
    assert reported.endswith(f"which holds {tmp_path / name}\n")
    assert reported.count("\n") == 1


@pytest.mark.fault("F15")
def test_a_lock_that_is_never_free_ends_the_wait_with_its_holder(tmp_path, held, monkeypatch):
    assert apt.WAIT_S <= 600
    monkeypatch.setattr(apt, "WAIT_S", 1)
    monkeypatch.setattr(apt, "LOCKS", [str(tmp_path / "lock")])
    monkeypatch.setattr(apt, "call", lambda *argv: pytest.fail("apt was called"))
    with held(tmp_path / "lock") as pid:
        code, said = apt.run("update")
    assert code == apt.BUSY
    assert said.startswith(f"E: PID {pid} (python3")
    assert f"still holds {tmp_path / 'lock'} after 1 s; let it end, or end it" in said


def test_somebody_who_was_faster_is_waited_for_as_well(monkeypatch):
    said = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"
    answers = [(100, said), (0, "done")]
    monkeypatch.setattr(apt, "LOCKS", ())
    monkeypatch.setattr(apt, "call", lambda *argv: answers.pop(0))
    monkeypatch.setattr(apt.time, "sleep", lambda seconds: None)
    assert apt.run("update") == (0, "done")
    monkeypatch.setattr(apt, "WAIT_S", -1)
    answers += [(100, said), (0, "too late")]
    assert apt.run("update") == (100, said), "it ends"
    assert apt.cause(said).startswith("another apt is running all the time")


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (
            "E: Release file for http://x/InRelease is not valid yet (invalid for another 3d 4h). "
            "Updates for this repository will not be applied.",
            "the node's clock is behind",
        ),
        (
            "E: Release file for http://x/InRelease is expired (invalid since 7d 1h 2min 3s).",
            "the mirror's lists have expired",
        ),
        ("E: The repository 'http://x bookworm InRelease' is not signed.", "a signature does not"),
        (
            "W: GPG error: http://x InRelease: The following signatures were invalid: BADSIG 0E",
            "a sig",
        ),
        ("Err:1 http://x\n  Temporary failure resolving 'x'", "the mirror's name is not resolved"),
        (
            "  Could not connect to x:80 (1.2.3.4). - connect (111: Connection refused)",
            "the mirror is",
        ),
        (
            "E: The repository 'http://x bookworm Release' does not have a Release file.",
            "the mirror, or",
        ),
        (
            "E: Failed to fetch http://x/p.deb  404  Not Found [IP: 1.2.3.4 80]",
            "the mirror, or",
        ),
        ("E: Failed to fetch http://x  Hash Sum mismatch", "what the mirror or a proxy gave"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "a disk of the node"),
        ("E: Unable to locate package nonsense", "no source of this node"),
        ("E: Package 'rar' has no installation candidate", "no source of this node"),
        ("reading\nE: Sub-process dpkg returned an error code (1)", "Sub-process dpkg returned"),
        ("", "it said nothing"),
    ],
)
def test_why_apt_failed_is_told_in_a_sentence(said, meaning):
    found = apt.cause(said)
    assert found.startswith(meaning)
    lines = [line.strip().removeprefix("E: ") for line in said.splitlines()]
    assert not said or any(line in found for line in lines)


def test_a_mirror_that_gives_nothing_is_told_before_the_signature_that_it_lacks():
    said = (
        "E: Failed to fetch http://x/InRelease  403  Filtered [IP: 10.0.0.1 3128]\n"
        "E: The repository 'http://x bookworm InRelease' is not signed."
    )
    assert apt.cause(said).startswith("the mirror, or a proxy before it, does not give that")


def test_dpkgs_own_audit_names_the_packages(monkeypatch):
    said = (
        "The following packages are only half installed, due to problems during\n"
        "installation:\n htop                 interactive processes viewer\n"
        " libfoo1:amd64        a library\n"
    )
    monkeypatch.setattr(
        apt_install.subprocess, "run", lambda argv, **options: SimpleNamespace(stdout=said)
    )
    assert apt_install.audit() == ["htop", "libfoo1:amd64"]


@pytest.mark.parametrize(
    ("line", "counter"),
    [
        ("dlstatus:1:0.0000:Retrieving file 1 of 9\n", "[0/200]"),
        ("dlstatus:9:100.0000:Retrieving file 9 of 9\n", "[100/200]"),
        ("pmstatus:dpkg-exec:50.5000:Running dpkg\n", "[150/200]"),
        ("pmstatus:cmake:100.0000:Installed cmake (arm64)\n", "[200/200]"),
        ("pmstatus:libgomp1:armhf:50.0000:Unpacking\n", None),
        ("pmerror:/var/cache/x.deb:50.0000:no space\n", None),
        ("pmstatus\n", None),
        ("Setting up cmake (3.25.1-1) ...\n", None),
    ],
)
def test_apts_own_progress_becomes_a_counter(line, counter):
    assert apt.progress(line) == counter


def test_a_commands_output_is_passed_with_its_exit_code(capfd):
    code, said = apt.call("sh", "-c", "echo one; echo two >&2; echo dlstatus:1:5:x; exit 4")
    assert (code, said) == (4, "one\ntwo")
    assert capfd.readouterr().out.splitlines() == ["one", "two", "[5/200]"]
