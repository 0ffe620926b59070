"""Old releases go; what is linked, good or running stays whatever was asked."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bramble.remote import prune_releases

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def home(tmp_path):
    for name in NAMES:
        (tmp_path / "releases" / name / "bin").mkdir(parents=True)
        (tmp_path / "releases" / name / "manifest.json").write_text("{}")
    (tmp_path / "current").symlink_to("releases/a")
    (tmp_path / "previous").symlink_to("releases/b")
    (tmp_path / "good.json").write_text(json.dumps({"release": "c"}))
    return tmp_path


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "releases").iterdir())


def prune(home: Path, *names: str) -> int:
    return prune_releases.main({"home": str(home), "releases": list(names)})


def test_what_is_asked_goes_and_what_is_in_use_stays(home, capsys):
    assert prune(home, *NAMES) == 0
    assert left(home) == ["a", "b", "c"]
    assert ":: kept a: it is in use" in capsys.readouterr().out
    assert prune(home, *NAMES) == 0


def test_a_release_that_a_process_runs_stays(home):
    program = home / "releases" / "d" / "bin" / "sleep"
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "60"])
    try:
        assert prune(home, "d", "e") == 0
    finally:
        process.kill()
        process.wait()
    assert left(home) == ["a", "b", "c", "d"]
    assert prune(home, "d") == 0
    assert left(home) == ["a", "b", "c"]


def test_what_a_power_cut_left_of_a_removal_is_removed(home):
    (home / "releases" / "e" / "manifest.json").unlink()
    assert prune(home, "d") == 0
    assert left(home) == ["a", "b", "c"]


def test_a_release_that_is_being_unpacked_is_none_of_its_business(home):
    (home / "releases" / ".f.new").mkdir()
    assert prune(home, "d", "e") == 0
    assert left(home) == [".f.new", "a", "b", "c"]


def test_the_manifest_goes_first(home, monkeypatch):
    def cut(_path):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", cut)
    with pytest.raises(KeyboardInterrupt):
        prune(home, "e")
    assert [path.name for path in (home / "releases" / "e").iterdir()] == ["bin"]


def test_a_node_without_links_and_notes_loses_only_what_was_asked(home):
    for name in ("current", "previous", "good.json"):
        (home / name).unlink()
    assert prune(home, "d") == 0
    assert left(home) == ["a", "b", "c", "e"]
