"""Files that outlast a power cut are written in one way, whose worth tests/durability proves."""

import os
import re
import stat
from pathlib import Path

import pytest

from bramble import remote
from bramble.remote import atomic

PROGRAMS = Path(remote.__file__).parent
BY_ITSELF = re.compile(r"\bos\.(?:rename|replace|renames|symlink|link)\(|shutil\.move\(")
WRITES = re.compile(r"open\([^)]*?, \"[wax]b?\"|write_text\(|write_bytes\(|O_CREAT|shutil\.copy")
# What these write needs no care: it is in memory, in /proc or /sys, thrown away by whoever finds it
# without the mark that comes last, or written to the folder that atomic.place gives its name.
OTHERWISE = {
    "apt_install.py": "a lock",
    "bandwidth.py": "/proc",
    "build_engine.py": "what a boot throws away, and the new release's folder",
    "build_source.py": "a source without its stamp, which comes last",
    "edit_boot.py": "a stamp in /run",
    "follow.py": "/run",
    "install_release.py": "the new release's folder",
    "owned.py": "what its caller syncs",
    "receive.py": "an empty file for what comes over SSH",
    "remove_log2ram.py": "a copy beside its place, synced before it is renamed",
    "serve_edge.py": "a copy for HAProxy to read, which is thrown away",
    "stage_eeprom.py": "a stamp in /run",
    "start_passing.py": "/run",
    "swap_file.py": "the swap file beside its place, synced before it is renamed",
    "switch_engine.py": "a model in memory that is thrown away",
    "zram.py": "/sys",
}


def test_no_program_renames_or_links_by_itself():
    texts = {path.name: path.read_text() for path in PROGRAMS.glob("*.py")}
    found = {name for name, text in texts.items() if BY_ITSELF.search(text)}
    # The links among log2ram's logs, whose copy continues until it is whole; and a file in /run.
    assert found == {"atomic.py", "remove_log2ram.py", "start_passing.py"}


def test_what_is_written_without_care_is_known():
    texts = {path.name: path.read_text() for path in PROGRAMS.glob("*.py")}
    found = {name for name, text in texts.items() if WRITES.search(text)}
    assert found == {"atomic.py", *OTHERWISE}


def test_a_file_has_its_mode_and_owner_before_it_has_its_name(tmp_path, monkeypatch):
    path, real = tmp_path / "secret", os.rename

    def look(source, target):
        assert stat.S_IMODE(os.stat(source).st_mode) == 0o640
        real(source, target)

    monkeypatch.setattr(os, "rename", look)
    atomic.write(str(path), "text\n", 0o640, (os.getuid(), os.getgid()))
    assert path.read_text() == "text\n"
    assert os.listdir(tmp_path) == ["secret"]


def test_what_an_earlier_run_left_beside_is_not_written_into(tmp_path):
    other = tmp_path / "other"
    other.write_text("not ours")
    (tmp_path / ".file.bramble").symlink_to(other)
    atomic.write(str(tmp_path / "file"), b"ours")
    assert (other.read_text(), (tmp_path / "file").read_text()) == ("not ours", "ours")
    assert not (tmp_path / "file").is_symlink()


def test_a_rename_that_fails_leaves_nothing_beside(tmp_path, monkeypatch):
    def fail(*names):
        raise OSError("no")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="no"):
        atomic.write(str(tmp_path / "file"), "new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_plain_file_is_not_replaced(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for name, kind in (("link", "a symbolic link"), ("folder", "not a plain file")):
        with pytest.raises(FileExistsError, match=f"{name} is {kind}"):
            atomic.write(str(tmp_path / name), "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link"]


def test_a_link_leads_to_the_new_target(tmp_path):
    link = tmp_path / "current"
    for target in ("one", "two"):
        atomic.link(str(link), target)
        assert os.readlink(link) == target
    assert os.listdir(tmp_path) == ["current"]


def test_a_folder_takes_the_place_of_another_at_one_instant(tmp_path):
    for name in ("new", "place"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "program").write_text(name)
    atomic.place(str(tmp_path / "new"), str(tmp_path / "place"))
    assert (tmp_path / "place/bin/program").read_text() == "new"
    assert (tmp_path / "new/bin/program").read_text() == "place"
    atomic.place(str(tmp_path / "new"), str(tmp_path / "free"))
    assert sorted(os.listdir(tmp_path)) == ["free", "place"]


def test_folders_are_made_down_to_the_last_and_files_removed_once(tmp_path):
    folder = tmp_path / "a" / "b"
    atomic.make_folder(str(folder))
    atomic.make_folder(str(folder))
    atomic.write(str(folder / "c"), b"")
    for _ in range(2):
        atomic.remove(str(folder / "c"))
    assert os.listdir(folder) == []
