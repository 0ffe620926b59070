"""What a node has of models is told, and a file that its disk has otherwise is not believed again."""

import json
from types import SimpleNamespace

import pytest

from bramble.pyinfra import connection, models
from bramble.pyinfra.boundary import Problem
from bramble.snapshot import Unknown

PATH = "/m/toy.gguf"


def row(**changes):
    return {
        "path": PATH,
        "size_bytes": 4,
        "sha256": "d" * 64,
        "what": "",
        "removable": False,
    } | changes


@pytest.fixture
def node(monkeypatch):
    """A host whose programs answer as told, and the report of the run."""
    reported = {
        "folder": "/m",
        "free_bytes": 5,
        "models": [row(), row(path="/m/mine.gguf", sha256=None)],
    }
    made = SimpleNamespace(
        answers={"prune_models": (True, json.dumps(reported)), "command": (True, "")},
        asked=[],
        events=[],
        changed=set(),
    )
    made.touched = lambda host: made.changed.add(host.name)
    made.report = SimpleNamespace(write=lambda kind, **event: made.events.append((kind, event)))

    def answer(host, program, query, timeout_s):
        made.asked.append((program, query))
        return made.answers[program]

    monkeypatch.setattr(models, "this_run", lambda: made)
    monkeypatch.setattr(connection, "run", answer)
    return made


def looked_through(on_disk=None, *, deep=False):
    host = SimpleNamespace(name="pi5-a", log=lambda line: None)
    live = SimpleNamespace(deep=deep, read_back=lambda path: on_disk)
    return models._look_through(host, {"list": True}, live)


def states(node):
    return [model["state"] for model in node.events[-1][1]["models"]]


def test_a_list_reads_nothing_back(node):
    assert looked_through()
    assert states(node) == [None, None]
    assert [program for program, _ in node.asked] == ["prune_models"]


def test_a_whole_file_stays_believed_and_one_that_nobody_verified_is_not_read(node):
    assert looked_through("d" * 64, deep=True)
    assert states(node) == ["whole", None]
    assert node.changed == set()


def test_a_damaged_file_is_told_with_what_the_disk_has_and_is_noted_as_such(node):
    assert looked_through("e" * 64, deep=True)
    assert node.events[-1][1]["models"][0]["damaged"] is True
    assert states(node)[0] == f"damaged: on the disk: {'e' * 64}"
    note = {"argv": ["mv", f"{PATH}.json", f"{PATH}.damaged"]}
    assert node.asked[-1] == ("command", note)
    assert node.changed == {"pi5-a"}


def test_a_file_that_could_not_be_read_is_not_called_damaged(node):
    assert looked_through(Unknown("the connection failed"), deep=True)
    assert node.events[-1][1]["models"][0]["damaged"] is None
    assert states(node)[0] == "unknown: the connection failed"
    assert node.changed == set()


@pytest.mark.parametrize("said", [(False, "no python"), (True, "no json")])
def test_a_node_that_does_not_tell_fails(node, said):
    node.answers["prune_models"] = said
    assert looked_through() == Problem(said[1])
