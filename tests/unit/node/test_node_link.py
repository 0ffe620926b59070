"""The link to the current release always points to one release or the other."""

import os

import pytest

from bramble.node import link


@pytest.fixture
def current(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "releases" / name).mkdir(parents=True)
    path = tmp_path / "current"
    path.symlink_to("releases/one")
    return path


def test_a_link_is_pointed_elsewhere(current):
    assert link.main({"path": str(current), "target": "releases/two"}) == 0
    assert os.readlink(current) == "releases/two"
    assert sorted(os.listdir(current.parent)) == ["current", "releases"]


def test_a_first_link_is_made(tmp_path):
    (tmp_path / "releases" / "one").mkdir(parents=True)
    path = tmp_path / "current"
    assert link.main({"path": str(path), "target": "releases/one"}) == 0
    assert os.readlink(path) == "releases/one"


def test_a_link_is_never_pointed_to_what_is_not_there(current, capsys):
    assert link.main({"path": str(current), "target": "releases/three"}) == 1
    assert os.readlink(current) == "releases/one"
    assert "releases/three is not there" in capsys.readouterr().err


def test_a_failing_rename_leaves_the_old_link_and_the_next_run_the_new(current, monkeypatch):
    def fail(*names):
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(OSError, match="no"):
            link.main({"path": str(current), "target": "releases/two"})
    assert os.readlink(current) == "releases/one"
    assert link.main({"path": str(current), "target": "releases/two"}) == 0
    assert os.readlink(current) == "releases/two"


def test_a_link_to_nowhere_that_an_earlier_run_left_behind_is_replaced(current):
    current.with_name("current.bramble").symlink_to("releases/gone")
    assert link.main({"path": str(current), "target": "releases/two"}) == 0
    assert os.readlink(current) == "releases/two"
    assert sorted(os.listdir(current.parent)) == ["current", "releases"]


def test_a_real_folder_in_its_place_is_left_alone(tmp_path, capsys):
    (tmp_path / "releases" / "one").mkdir(parents=True)
    path = tmp_path / "current"
    path.mkdir()
    assert link.main({"path": str(path), "target": "releases/one"}) == 1
    assert "is not a symbolic link; move it away" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["current", "releases"]
