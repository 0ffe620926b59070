"""What a node has of models is told, and a file that its disk has otherwise is not believed again."""

import json
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from bramble import remote
from bramble.pyinfra import alone, connection, models, session
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.connector import NodeConnector
from bramble.remote import hold_node
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


class Lock:
    """The lock of a node: its program runs here, on a file of the test's."""

    def __init__(self, file):
        self.file, self.begun = file, []
        self.waiting = file.with_name("waiting")

    def program(self, name, query):
        """The program's text; whoever waits for the lock leaves a file that says so."""
        text = remote.program(name, query).replace(hold_node.LOCK, str(self.file))
        pause = "time.sleep(0.2)"
        assert pause in text
        return text.replace(pause, f"open({str(self.waiting)!r}, 'w').close(); {pause}")

    def begin(self, text):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.begun.append(subprocess.Popen([sys.executable, "-Iuc", text], text=True, **pipes))
        return self.begun[-1]

    def another_run(self):
        """Another run's, once it holds the node."""
        text = self.program("hold_node", {"who": "anna@laptop, process 1", "wait_s": 0})
        process = self.begin(text)
        assert "waited_s" in process.stdout.readline()
        return process

    def end_once_waited_for(self, process):
        """End another run as soon as a second one waits for it."""
        until = time.monotonic() + 30
        while not self.waiting.exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.stdin.close()


class Connector(NodeConnector):
    """A connection that starts on this computer what holds the node."""

    def __init__(self, lock):
        self.lock, self.transport = lock, Transport()

    def open_transport(self):
        return self.transport

    def begun(self, command, **_arguments):
        process = self.lock.begin(command.get_raw_value())
        return SimpleNamespace(
            makefile=lambda _mode: process.stdout, closed=False, sendall=lambda _beat: None
        )


class Transport:
    """What a connection is told apart by."""


@pytest.fixture
def lock(tmp_path, monkeypatch):
    made = Lock(tmp_path / "held" / "run.lock")
    monkeypatch.setattr(alone, "remote", SimpleNamespace(command_line=made.program))
    monkeypatch.setattr(
        alone, "StringCommand", lambda text: SimpleNamespace(get_raw_value=lambda: text)
    )
    yield made
    for process in made.begun:
        process.kill()
        process.wait()


def looked_through(on_disk=None, *, deep=False, connector=None):
    host = SimpleNamespace(name="pi5-a", log=lambda line: None, connector=connector, data={})
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


def noted(node):
    return [query["argv"][0] for program, query in node.asked if program == "command"] == ["mv"]


def test_a_damaged_file_is_noted_by_a_run_that_holds_the_node(node, lock):
    connector = Connector(lock)
    assert looked_through("e" * 64, deep=True, connector=connector)
    assert noted(node)
    assert hold_node.holder(lock.file.open())["who"] == alone._who()


def test_while_another_run_holds_the_node_nothing_is_noted_and_that_run_is_named(
    node, lock, monkeypatch
):
    monkeypatch.setattr(alone, "WAIT_S", 0)
    lock.another_run()
    assert looked_through("e" * 64, deep=True, connector=Connector(lock))
    assert not noted(node)
    assert node.changed == set()
    assert states(node)[0].startswith(
        f"damaged: on the disk: {'e' * 64}; that could not be noted: "
    )
    assert "anna@laptop, process 1 (since " in states(node)[0]
    assert node.events[-1][1]["models"][0]["damaged"] is True


def test_what_another_run_may_have_replaced_while_it_was_waited_for_is_not_noted(node, lock):
    ending = threading.Thread(target=lock.end_once_waited_for, args=(lock.another_run(),))
    ending.start()
    assert looked_through("e" * 64, deep=True, connector=Connector(lock))
    ending.join()
    assert not noted(node)
    assert "another run changed the node meanwhile" in states(node)[0]


def test_a_file_that_could_not_be_read_is_not_called_damaged(node):
    assert looked_through(Unknown("the connection failed"), deep=True)
    assert node.events[-1][1]["models"][0]["damaged"] is None
    assert states(node)[0] == "unknown: the connection failed"
    assert node.changed == set()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((False, "no python"), "no python"),
        ((True, "no json"), "what the node tells of its models cannot be read: Expecting value"),
    ],
)
def test_a_node_that_does_not_tell_fails(node, said, why):
    node.answers["prune_models"] = said
    problem = looked_through()
    assert isinstance(problem, Problem)
    assert problem.why.startswith(why)


def test_a_connection_that_ended_without_a_word_is_named_by_its_kind(lock, monkeypatch):
    def ended(*_arguments, **_more):
        raise EOFError

    monkeypatch.setattr(Connector, "begun", ended)
    host = SimpleNamespace(name="pi5-a", log=lambda line: None, connector=Connector(lock), data={})
    assert alone.hold(host).why == "the node could not be held for this run: EOFError"


def test_the_second_operator_is_told_who_holds_the_node_and_since_when_in_words_and_in_the_report(
    lock, monkeypatch
):
    monkeypatch.setattr(alone, "WAIT_S", 0)
    lock.another_run()
    host = SimpleNamespace(name="pi5-a", log=lambda line: None, connector=Connector(lock), data={})
    held = alone.hold(host)
    assert held.held_by["who"] == "anna@laptop, process 1"
    since = held.held_by["since"]
    assert held.why.startswith(f"anna@laptop, process 1 (since {since}) is changing this node")
    events = []
    run = SimpleNamespace(
        report=SimpleNamespace(write=lambda kind, **event: events.append((kind, event)))
    )
    session.Run.failed(run, host, held)
    ((kind, event),) = events
    assert (kind, event["state"], event["held_by"]) == ("host", "failed", held.held_by)
    assert event["why"] == held.why
