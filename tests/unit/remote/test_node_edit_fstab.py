"""Replacing fstab: only what was seen, only what findmnt takes, atomically, with the old one kept."""

import hashlib
import subprocess

import pytest

from bramble.remote import edit_fstab

OLD = "proc /proc proc defaults 0 0\n"
NEW = f"{OLD}tmpfs /tmp tmpfs defaults 0 0\n"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """An fstab; systemd is not there to read it, and findmnt is the real one."""
    path = tmp_path / "fstab"
    path.write_text(OLD)
    path.chmod(0o640)
    real = subprocess.run
    asked = []

    def run(argv, **options):
        if argv[0] == "systemctl":
            asked.append(argv)
            argv = ["true"]
        return real(argv, **options)

    monkeypatch.setattr(edit_fstab.subprocess, "run", run)
    edit_fstab.asked = asked
    return path


def query(file, text=NEW, before=OLD, folder=None, uuid=None):
    was = hashlib.sha256(before.encode()).hexdigest()
    asked = {"path": str(file), "was_sha256": was, "text": text}
    return {**asked, "folder": folder, "uuid": uuid}


def test_the_new_text_lands_with_the_old_mode_and_systemd_reads_it(file, tmp_path, monkeypatch):
    monkeypatch.setattr(edit_fstab.mount_place, "device_of", lambda uuid: "/dev/null")
    assert edit_fstab.main(query(file, folder=str(tmp_path / "mnt/ssd"))) == 0
    assert file.read_text() == NEW
    assert file.with_name("fstab.bak").read_text() == OLD
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fstab", "fstab.bak", "mnt"]
    assert edit_fstab.asked == [["systemctl", "daemon-reload"]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("UUID=9-9-9 / ext4 nofail 0 2", "unreachable on boot required source: UUID=9-9-9"),
        ("tmpfs /no/such/folder tmpfs defaults 0 0", "/no/such/folder: unreachable"),
        ("nonsense", "a line that it cannot read"),
    ],
)
def test_what_findmnt_finds_wrong_does_not_land(line, said, file, tmp_path, capfd):
    assert edit_fstab.main(query(file, f"{OLD}{line}\n")) == 1
    assert file.read_text() == OLD
    assert [p.name for p in tmp_path.iterdir()] == ["fstab"]
    assert said in capfd.readouterr().err


@pytest.mark.parametrize("line", ["nonsense", "UUID=9-9-9 /tmp ext4 nofail 0 2"])
def test_what_was_wrong_before_holds_up_nothing(line, file):
    before = f"{line}\n{OLD}"
    file.write_text(before)
    after = f"{before}tmpfs /tmp tmpfs defaults 0 0\n"
    assert edit_fstab.main(query(file, after, before)) == 0
    assert file.read_text() == after


def test_what_is_not_as_it_was_seen_is_left_alone(file, capfd):
    file.write_text("# edited by hand\n")
    assert edit_fstab.main(query(file)) == 1
    assert file.read_text() == "# edited by hand\n"
    assert "run again" in capfd.readouterr().err


def test_a_link_is_not_followed(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    assert edit_fstab.main(query(link)) == 1
    assert link.is_symlink()


def test_a_write_that_fails_leaves_the_old_text(file, monkeypatch, capfd):
    def full(_source, target):
        if not target.endswith(".bak"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(edit_fstab.os, "rename", full)
    assert edit_fstab.main(query(file)) == 1
    assert file.read_text() == OLD
    assert "No space left" in capfd.readouterr().err
