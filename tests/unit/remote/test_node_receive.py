"""A file that comes over SSH gets a place of its own, where nobody planted anything."""

import os
import pwd
import stat
import subprocess

import pytest
from small_disks import mounted

from bramble.remote import receive

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: root only")
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder as /var/tmp is, on a small disk, and an account that called sudo."""
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    monkeypatch.setenv("SUDO_GID", str(NOBODY))
    with mounted("tmpfs", tmp_path / "tmp", 140) as folder:
        folder.chmod(0o1777)
        yield folder


@pytest.mark.parametrize("plant", [None, ["ln", "-s", "SECRET"], ["mkfifo"], ["touch"]])
def test_it_is_empty_and_the_sender_s_whatever_another_user_planted(place, tmp_path, plant):
    path, secret = place / "upload", tmp_path / "secret"
    secret.write_text("root's own")
    if plant:
        words = [word.replace("SECRET", str(secret)) for word in plant]
        subprocess.run([*words, path], check=True)
        os.lchown(path, 12345, 12345)
    assert receive.main({"path": str(path), "size_bytes": 5}) == 0
    status = os.lstat(path)
    assert stat.S_ISREG(status.st_mode)
    assert (status.st_uid, stat.S_IMODE(status.st_mode), status.st_size) == (NOBODY, 0o600, 0)
    assert secret.read_text() == "root's own"


def test_what_has_no_room_is_told_before_it_is_sent(place, capsys):
    path = place / "upload"
    assert receive.main({"path": str(path), "size_bytes": 20 << 20}) == 1
    assert "MiB free and 20 are to be sent, with 128 kept" in capsys.readouterr().err
    assert not path.exists()


def test_a_folder_in_its_place_is_told(place, capsys):
    (place / "upload").mkdir()
    assert receive.main({"path": str(place / "upload"), "size_bytes": 1}) == 1
    assert "cannot be made" in capsys.readouterr().err
