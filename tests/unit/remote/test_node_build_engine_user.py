"""A build on a node: root unpacks and installs, and all else is a user's that may do nothing more."""

import os
import shutil
from pathlib import Path

import pytest

from bramble.remote import build_engine, build_user
from tests.unit.remote.test_node_build_engine_boots import answer, toy_query
from tests.unit.remote.test_node_build_engine_boots import pytestmark as needs_tools

NOBODY = "nobody"
WHOLE = {"llama-server": b"42\n", "llama-bench": b"42\n"}
pytestmark = [
    needs_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as somebody else"),
]
# What a source may do when it is configured: tell who it is, and write where it likes.
HOSTILE = """
execute_process(COMMAND id -u OUTPUT_FILE ${CMAKE_BINARY_DIR}/who)
foreach(place ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/.. ${CMAKE_BINARY_DIR}/../../releases /tmp)
  execute_process(COMMAND touch ${place}/@NAME@ ERROR_QUIET)
endforeach()
"""


@pytest.fixture
def query(open_folder):
    """A whole build of the toy, of a source that would write elsewhere."""
    more = HOSTILE.replace("@NAME@", f"{open_folder.name}-mark")
    return toy_query(open_folder, more) | {"user": NOBODY}


def owners(path):
    """The users that anything below a folder belongs to."""
    return {os.lstat(one).st_uid for one in (path, *path.rglob("*"))}


def test_a_release_is_made_by_the_user_and_is_roots(query):
    assert build_engine.main(query) == 0
    assert answer(query) == WHOLE
    release, work = Path(query["release"]), Path(query["work"])
    uid = build_user.identity(NOBODY)[0]
    assert owners(release) == {0}
    assert {path.stat().st_mode & 0o7777 for path in (release / "bin").iterdir()} == {0o755}
    assert (work / "build" / "who").read_text() == f"{uid}\n"
    assert owners(work / "build") == owners(Path(query["ccache"])) == {uid}
    assert owners(work / "src") == {0}


def test_a_source_that_writes_elsewhere_leaves_nothing_there(query, open_folder):
    assert build_engine.main(query) == 0
    assert (Path(query["work"]) / "build" / "who").exists()  # it did try
    assert not list(open_folder.rglob("*-mark"))
    assert not Path(f"/tmp/{open_folder.name}-mark").exists()


def test_the_users_objects_are_kept_for_the_next_build(query):
    assert build_engine.main(query) == 0
    (one,) = Path(query["work"], "build").rglob("ggml-cpu.c.o")
    before = one.stat().st_mtime_ns
    shutil.rmtree(query["release"])
    assert build_engine.main(query) == 0
    assert one.stat().st_mtime_ns == before
    assert answer(query) == WHOLE


def test_what_root_compiled_before_is_begun_anew_by_the_user(query, open_folder):
    assert build_engine.main(query | {"user": None}) == 0
    Path(f"/tmp/{open_folder.name}-mark").unlink()  # which it could write as root
    shutil.rmtree(query["release"])
    assert owners(Path(query["work"], "build")) == {0}
    assert build_engine.main(query) == 0
    assert 0 not in owners(Path(query["work"], "build"))
    assert 0 not in owners(Path(query["ccache"]))
    assert answer(query) == WHOLE


def test_a_node_without_the_user_builds_nothing(query, capsys):
    assert build_engine.main(query | {"user": "nobody-has-this-name"}) == 1
    said = capsys.readouterr().out
    assert "there is no user nobody-has-this-name here; deploy the role engine again" in said
    assert not os.path.exists(query["release"])
