"""Models move to a real second disk and back: whole, at once, the card's copies staying at first."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from small_disks import mounted

from bramble import remote
from bramble.remote import fetch_model, owned, place_models

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems: root only")
MIB = 1024 * 1024
CONTENTS = {name: b"GGUF" + random.Random(name).randbytes(3 * MIB + 11) for name in ("a", "b")}


KILLED = """
import os, signal
left = [CALLS]
def spent(name):
    real = getattr(os, name)
    def call(*words, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*words, **options)
    setattr(os, name, call)
for name in ("open", "rename", "fsync", "lstat", "symlink", "unlink", "fchmod"):
    spent(name)
"""


@pytest.fixture
def card(tmp_path):
    """The card's folder with two models of ours and one of a person's."""
    folder = tmp_path / "lib" / "models"
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(content)
        fetch_model.stamp(str(path), hashlib.sha256(content).hexdigest())
    (folder / "a.gguf.fit").write_text("{}")
    (folder / "b.gguf.part").write_text("x")
    return folder


@pytest.fixture(params=["ext4", "tmpfs"])
def ssd(request, tmp_path):
    with mounted(request.param, tmp_path / "ssd", 340) as folder:
        yield folder


def query(card, ssd, what="bring"):
    return {
        "what": what,
        "folder": str(card),
        "left": f"{card}.card",
        "to": str(ssd / "bramble" / "models"),
        "mount": str(ssd),
    }


def assert_whole(folder):
    for name, content in CONTENTS.items():
        path = folder / f"{name}.gguf"
        assert path.read_bytes() == content
        stamp = json.loads(path.with_name(f"{path.name}.json").read_text())
        wanted = {"size": len(content), "mtime_ns": path.stat().st_mtime_ns}
        assert stamp == wanted | {"sha256": hashlib.sha256(content).hexdigest()}


def test_models_come_to_the_ssd_and_the_card_s_stay_until_they_may_go(card, ssd, capsys):
    assert place_models.main(query(card, ssd)) == 0
    assert os.readlink(card) == str(ssd / "bramble" / "models")
    assert_whole(card)
    assert_whole(card.with_name("models.card"))
    assert (card / "a.gguf.fit").read_text() == "{}"
    assert place_models.main(query(card, ssd, "clear")) == 0
    assert not card.with_name("models.card").exists()
    assert_whole(card)


def test_a_process_that_has_the_card_s_model_keeps_it(card, ssd, capsys):
    reader = subprocess.Popen(
        ["sh", "-c", "read word"], stdin=subprocess.PIPE, pass_fds=[], close_fds=True
    )
    with (card / "a.gguf").open("rb"):
        assert place_models.main(query(card, ssd)) == 0
        assert place_models.main(query(card, ssd, "clear")) == 1
        assert "a process uses" in capsys.readouterr().out
        assert card.with_name("models.card").exists()
    reader.communicate(b"\n")
    assert place_models.main(query(card, ssd, "clear")) == 0


def test_a_model_that_the_card_damaged_is_not_taken_along(card, ssd, capsys):
    damaged = bytearray(CONTENTS["a"])
    damaged[99] ^= 1
    status = (card / "a.gguf").stat()
    (card / "a.gguf").write_bytes(damaged)
    os.utime(card / "a.gguf", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert place_models.main(query(card, ssd)) == 0
    assert "is not as it was verified" in capsys.readouterr().out
    assert sorted(path.name for path in card.iterdir()) == ["b.gguf", "b.gguf.json"]


@pytest.mark.parametrize("at", [0, MIB, 3 * MIB + 11 + 4])
def test_a_move_that_was_cut_off_goes_on_with_what_is_copied(card, ssd, at, capsys):
    to = ssd / "bramble" / "models"
    to.mkdir(parents=True)
    (to / "a.gguf.part").write_bytes(CONTENTS["a"][:at])
    assert place_models.main(query(card, ssd)) == 0
    assert_whole(card)


def test_a_kill_at_any_moment_leaves_a_path_with_whole_models_and_the_next_run_ends_it(card, ssd):
    """The program in a process of its own, ended by the kernel at one system call after another."""
    for calls in (5, 20, 60, 100, 140, 180):
        text = KILLED.replace("CALLS", str(calls)) + remote.program(
            "place_models", query(card, ssd)
        )
        subprocess.run([sys.executable, "-I", "-"], input=text, text=True, capture_output=True)
        assert_whole(card)
    assert place_models.main(query(card, ssd)) == 0 or card.is_symlink()
    assert card.is_symlink()
    assert_whole(card)


def test_without_the_ssd_the_path_is_the_card_s_again_with_what_was_there(card, ssd, capsys):
    assert place_models.main(query(card, ssd)) == 0
    assert place_models.main(query(card, ssd, "back")) == 0
    assert not card.is_symlink()
    assert_whole(card)
    assert place_models.main(query(card, ssd)) == 0
    assert place_models.main(query(card, ssd, "clear")) == 0
    assert place_models.main(query(card, ssd, "back")) == 0
    assert (card.is_symlink(), list(card.iterdir())) == (False, [])


def test_a_path_that_leads_to_an_ssd_of_before_leads_to_the_one_of_now(card, ssd, tmp_path):
    assert place_models.main(query(card, ssd)) == 0
    shutil.rmtree(card.with_name("models.card"))
    card.unlink()
    card.symlink_to(tmp_path / "gone" / "bramble" / "models")
    assert place_models.main(query(card, ssd)) == 0
    assert_whole(card)
    assert not os.path.lexists(card.with_name("models.card"))


def test_a_path_that_leads_to_a_disk_with_nothing_on_it_is_a_folder_for_a_fetch(tmp_path):
    link = tmp_path / "models"
    link.symlink_to(tmp_path / "ssd" / "bramble" / "models")
    assert owned.have(str(link)) is None
    assert (tmp_path / "ssd" / "bramble" / "models").is_dir()


def test_an_ssd_that_is_not_mounted_is_not_written_to(card, tmp_path, capsys):
    (tmp_path / "ssd").mkdir()
    assert place_models.main(query(card, tmp_path / "ssd")) == 1
    assert "nothing is mounted at" in capsys.readouterr().out
    assert_whole(card)
    assert list((tmp_path / "ssd").iterdir()) == []


def test_an_ssd_without_room_is_told_and_keeps_nothing(card, ssd, capsys):
    free = os.statvfs(ssd).f_bavail * os.statvfs(ssd).f_frsize
    with (ssd / "others").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - 258 * MIB)
    assert place_models.main(query(card, ssd)) == 1
    assert "MiB free and the model needs 6 more" in capsys.readouterr().out
    assert_whole(card)
    assert not card.is_symlink()
    assert list((ssd / "bramble" / "models").iterdir()) == []


def test_a_person_s_file_stays_on_the_card(card, ssd, capsys):
    (card / "mine.gguf").write_bytes(b"GGUF")
    assert place_models.main(query(card, ssd)) == 0
    assert place_models.main(query(card, ssd, "clear")) == 0
    assert "stays, as it holds what no fetch of ours made" in capsys.readouterr().out
    assert [path.name for path in card.with_name("models.card").iterdir()] == ["mine.gguf"]
