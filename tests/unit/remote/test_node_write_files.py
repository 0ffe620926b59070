"""Files on a node are the whole old or the whole new one, whatever happens in between."""

import errno
import grp
import os
import pwd
import stat
import subprocess
import sys

import pytest

from bramble import remote
from bramble.remote import write_files

OWNER = pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(os.getegid()).gr_name
STEPS = ("fsync", "fchown", "fchmod", "rename")


class Killed(BaseException):
    """What a lost power supply looks like from within: nothing gets to clean up after it."""


def entry(path, text="new\n", **changes):
    return {
        "path": str(path),
        "text": text,
        "mode": 0o640,
        "owner": OWNER,
        "group": GROUP,
    } | changes


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "etc" / "unit.service"
    path.parent.mkdir()
    path.write_text("old\n")
    return path


def test_a_file_is_replaced_with_its_text_mode_and_owner(target):
    assert write_files.main({"files": [entry(target)]}) == 0
    assert target.read_text() == "new\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.owner() == OWNER
    assert target.group() == GROUP
    assert leftovers(target.parent) == []


def test_the_mode_does_not_depend_on_the_umask(target):
    before = os.umask(0o077)
    try:
        assert write_files.main({"files": [entry(target, mode=0o666)]}) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666


def test_folders_of_ours_may_be_read_whatever_the_umask_of_the_login(tmp_path):
    path = tmp_path / "etc" / "bramble" / "chat-templates" / "a.jinja"
    text = remote.program("write_files", {"files": [entry(path, mode=0o644)]})
    argv = [sys.executable, "-Iu", "-"]
    subprocess.run(argv, input=text, text=True, check=True, umask=0o077)
    made = [path, *list(path.parents)[:3]]
    assert [oct(stat.S_IMODE(one.stat().st_mode)) for one in made] == ["0o644", *["0o755"] * 3]


def test_folders_are_made_as_needed(tmp_path):
    path = tmp_path / "a" / "b" / "c.conf"
    assert write_files.main({"files": [entry(path)]}) == 0
    assert path.read_text() == "new\n"


def test_a_secret_is_never_readable_by_others_on_its_way(target, monkeypatch):
    modes = []
    real = os.fchown

    def look(descriptor, *rest):
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, *rest)

    monkeypatch.setattr(os, "fchown", look)
    assert write_files.main({"files": [entry(target, mode=0o600)]}) == 0
    assert modes == [0o600]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_before_any_step_leaves_the_old_file_and_the_next_run_the_new(
    target, monkeypatch, step
):
    def kill(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, step, kill)
        with pytest.raises(Killed):
            write_files.main({"files": [entry(target)]})
    assert target.read_text() == "old\n"
    assert write_files.main({"files": [entry(target)]}) == 0
    assert target.read_text() == "new\n"
    assert leftovers(target.parent) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_after_any_step_leaves_the_old_or_the_new_file(target, monkeypatch, step):
    real = getattr(os, step)

    def kill(*arguments):
        real(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, step, kill)
        with pytest.raises(Killed):
            write_files.main({"files": [entry(target)]})
    assert target.read_text() == ("new\n" if step == "rename" else "old\n")


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_leaves_the_old_file_and_says_so(target, monkeypatch, capsys, step):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    assert write_files.main({"files": [entry(target)]}) == 1
    assert target.read_text() == "old\n"
    assert leftovers(target.parent) == []
    said = capsys.readouterr().err
    assert f"{target} was left as it was" in said
    assert "No space left on device" in said


def test_an_unknown_owner_leaves_the_old_file_and_no_other(target, capsys):
    assert write_files.main({"files": [entry(target, owner="nobody-has-this-name")]}) == 1
    assert target.read_text() == "old\n"
    assert leftovers(target.parent) == []
    assert "nobody-has-this-name" in capsys.readouterr().err


def test_what_an_earlier_run_left_behind_is_replaced(target):
    stale = target.parent / f".{target.name}.bramble"
    stale.write_text("half of")
    stale.chmod(0o666)
    assert write_files.main({"files": [entry(target)]}) == 0
    assert target.read_text() == "new\n"
    assert leftovers(target.parent) == []


@pytest.mark.fault("F29")
def test_a_link_planted_as_the_temporary_file_is_not_followed(target, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (target.parent / f".{target.name}.bramble").symlink_to(victim)
    assert write_files.main({"files": [entry(target)]}) == 0
    assert victim.read_text() == "precious"
    assert target.read_text() == "new\n"


@pytest.mark.fault("F29")
def test_a_symbolic_link_is_refused_and_left_alone(tmp_path, capsys):
    victim, path = tmp_path / "victim", tmp_path / "unit.service"
    victim.write_text("precious")
    path.symlink_to(victim)
    assert write_files.main({"files": [entry(path)]}) == 1
    assert path.is_symlink()
    assert victim.read_text() == "precious"
    assert capsys.readouterr().err == (
        f"{path} is a symbolic link; bramble owns it as a plain file. Move it away and run again.\n"
    )


@pytest.mark.fault("F29")
def test_a_folder_is_refused_and_left_alone(tmp_path, capsys):
    path = tmp_path / "unit.service"
    path.mkdir()
    assert write_files.main({"files": [entry(path)]}) == 1
    assert path.is_dir()
    assert "is not a plain file" in capsys.readouterr().err


def test_one_refusal_stops_all_files_before_any_is_written(target, tmp_path, capsys):
    blocked = tmp_path / "folder"
    blocked.mkdir()
    assert write_files.main({"files": [entry(target), entry(blocked)]}) == 1
    assert target.read_text() == "old\n"
    assert str(blocked) in capsys.readouterr().err
