"""Packages are installed after repair, with fresh lists where they are needed, and tried once more."""

import os

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
    return Apt(monkeypatch, updates, lists)


class Apt:
    """Answers each call with the next code, 0 when there is none left."""

    def __init__(self, monkeypatch, updates, lists):
        self.updates, self.lists, self.codes, self.argvs = updates, lists, [], []
        monkeypatch.setattr(apt_install, "call", self.call)

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
