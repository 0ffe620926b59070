"""Replacing a file of the boot partition: only what was seen, atomically, with the old one kept."""

import hashlib

import pytest

from bramble.remote import edit_boot


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cmdline.txt"
    path.write_bytes(b"root=a\n")
    return path


def query(file, before=b"root=a\n", text="root=a psi=1\n", stamp=None):
    was = hashlib.sha256(before).hexdigest()
    return {"path": str(file), "was_sha256": was, "text": text, "stamp": stamp}


def test_the_new_text_takes_the_place_of_the_old_one_which_stays_beside_it(file):
    assert edit_boot.main(query(file)) == 0
    assert file.read_bytes() == b"root=a psi=1\n"
    assert file.with_name("cmdline.txt.bak").read_bytes() == b"root=a\n"
    assert sorted(p.name for p in file.parent.iterdir()) == ["cmdline.txt", "cmdline.txt.bak"]


def test_a_stamp_in_memory_says_that_a_reboot_is_due(file, tmp_path):
    stamp = tmp_path / "run" / "reboot" / "config.txt"
    assert edit_boot.main(query(file, stamp=str(stamp))) == 0
    assert stamp.read_text() == f"{file}\n"


@pytest.mark.parametrize("there", [b"root=b\n", b"root=a\r\n", b""])
def test_what_is_not_as_it_was_seen_is_left_alone(file, there, capfd):
    file.write_bytes(there)
    assert edit_boot.main(query(file)) == 1
    assert file.read_bytes() == there
    assert "run again" in capfd.readouterr().err


def test_a_file_that_is_not_there_is_not_made(tmp_path, capfd):
    assert edit_boot.main(query(tmp_path / "cmdline.txt", b"")) == 1
    assert list(tmp_path.iterdir()) == []
    assert "is the boot partition mounted?" in capfd.readouterr().err


def test_a_link_is_not_followed(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    assert edit_boot.main(query(link)) == 1
    assert link.is_symlink()


def test_a_text_is_never_made_empty(file, capfd):
    assert edit_boot.main(query(file, text="\n")) == 1
    assert file.read_bytes() == b"root=a\n"
    assert "would be empty" in capfd.readouterr().err


def test_a_write_that_fails_leaves_the_old_text(file, monkeypatch, capfd):
    def full(_source, target):
        if not target.endswith(".bak"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(edit_boot.os, "rename", full)
    assert edit_boot.main(query(file)) == 1
    assert file.read_bytes() == b"root=a\n"
    assert "No space left" in capfd.readouterr().err
