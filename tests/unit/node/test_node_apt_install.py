"""Packages are installed after repair, with fresh lists where they are needed, and tried once more."""

import os
from types import SimpleNamespace

import pytest

from bramble.node import apt_install


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
    """Answers each call with the next code, 0 when there is none left."""

    def __init__(self, monkeypatch, updates, lists):
        self.updates, self.lists, self.codes, self.argvs = updates, lists, [], []
        self.audits = []
        monkeypatch.setattr(apt_install, "call", self.call)
        monkeypatch.setattr(apt_install, "audit", self.audit)

    def audit(self):
        return self.audits.pop(0) if self.audits else []

    def call(self, *argv):
        self.argvs.append(argv)
        return self.codes.pop(0) if self.codes and "install" in argv else 0

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


def test_apt_asks_nothing_and_waits_for_its_lock(node):
    assert install("curl") == 0
    (argv,) = node.argvs
    assert argv[0] == "apt-get"
    assert "-y" in argv
    assert f"DPkg::Lock::Timeout={apt_install.LOCK_WAIT_S}" in argv
    assert apt_install.ENVIRONMENT["DEBIAN_FRONTEND"] == "noninteractive"
    assert apt_install.ENVIRONMENT["APT_LISTCHANGES_FRONTEND"] == "none"


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
    node.codes = [100, 0]
    assert install("curl") == 0
    assert node.verbs == ["install", "update", "install"]
    assert "trying once more" in capsys.readouterr().out


def test_a_failure_with_fresh_lists_is_final(node):
    age(node, 25)
    node.codes = [100, 0]
    assert install("curl") == 100
    assert node.verbs == ["update", "install"]


def test_a_second_failure_is_told_in_a_sentence(node, capsys):
    node.codes = [100, 100]
    assert install("curl", "nonsense") == 100
    assert node.verbs == ["install", "update", "install"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        ":: apt could not install curl nonsense; its own words are above. "
        "Check the node's way to its mirror and its free space, then run again."
    )


def test_what_a_killed_dpkg_left_half_done_is_finished_first(node, capsys):
    (node.updates / "0001").write_text("x")
    assert install("curl") == 0
    assert node.verbs == ["--configure", "install"]
    assert "--force-confold" in node.argvs[0]
    assert "dpkg was interrupted" in capsys.readouterr().out


def test_what_cannot_be_configured_is_unpacked_again(node):
    node.audits = [["htop"], ["htop"], []]
    assert install() == 0
    assert node.verbs == ["--configure", "update", "install"]
    assert node.argvs[-1][-4:] == ("install", "--reinstall", "--fix-broken", "htop")


def test_what_stays_half_installed_stops_all_else_and_is_named(node, capsys):
    node.audits = [["htop"]] * 3
    assert install("curl") == 1
    assert "curl" not in node.argvs[-1]
    assert "still half installed: htop" in capsys.readouterr().out


def test_with_nothing_to_repair_and_to_install_nothing_is_called(node):
    assert install() == 0
    assert node.argvs == []


def test_dpkg_is_not_run_while_another_holds_the_lock(node, monkeypatch, capsys):
    node.audits = [["htop"]] * 2
    monkeypatch.setattr(apt_install, "locked", lambda lock: False)
    assert install("curl") == 1
    assert node.argvs == []
    assert "another one holds" in capsys.readouterr().out


def test_a_lock_is_waited_for_until_the_time_is_over(node, monkeypatch):
    clock = SimpleNamespace(now=0.0)

    def lockf(lock, how):
        if clock.now < clock.free_at:
            raise BlockingIOError

    def sleep(seconds):
        clock.now += 100

    monkeypatch.setattr(apt_install.fcntl, "lockf", lockf)
    fake = SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep)
    monkeypatch.setattr(apt_install, "time", fake)
    clock.free_at = 300
    assert apt_install.locked(None)
    clock.now, clock.free_at = 0.0, 10**6
    assert not apt_install.locked(None)


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
    assert apt_install.progress(line) == counter


def test_a_commands_output_is_passed_with_its_exit_code(capfd):
    code = apt_install.call("sh", "-c", "echo one; echo two >&2; echo dlstatus:1:5:x; exit 4")
    assert code == 4
    assert capfd.readouterr().out.splitlines() == ["one", "two", "[5/200]"]
