"""What a run keeps of a node for charts: the figures that its look and its model's answer gave."""

import json
from types import SimpleNamespace

import pytest

from bramble.pyinfra import connection, verification
from bramble.pyinfra.connection import Live
from tests.unit.spoiled import GOOD, PLAN, RIGHT_ANSWER

HOST = SimpleNamespace(name="pi5-a", data=SimpleNamespace(deep=None, get=lambda name: None))


@pytest.fixture
def says(monkeypatch):
    """Have the node's programs print what a test says."""
    said = SimpleNamespace(ok=True, text=json.dumps(RIGHT_ANSWER))
    monkeypatch.setattr(connection, "run", lambda *words, **more: (said.ok, said.text))
    monkeypatch.setattr(connection, "say", lambda *words: None)
    monkeypatch.setattr(verification, "say", lambda *words: None)
    return said


@pytest.fixture
def reported(monkeypatch):
    """The events that a run writes."""
    events = []
    report = SimpleNamespace(
        write=lambda event, **values: events.append((event, values)),
        write_all=lambda event, rows: events.extend((event, row) for row in rows),
    )
    monkeypatch.setattr(verification, "this_run", lambda: SimpleNamespace(report=report))
    return events


def test_the_last_answer_is_kept_for_its_speed(says):
    live = Live(HOST, PLAN, GOOD)
    assert live.answer is None
    live.ask("http://127.0.0.1:8080", "What is 2+2?")
    assert live.answer == RIGHT_ANSWER


@pytest.mark.parametrize(("ok", "text"), [(False, "gone"), (True, "no JSON"), (True, "[1]")])
def test_what_cannot_be_read_is_no_answer(says, ok, text):
    says.ok, says.text = ok, text
    live = Live(HOST, PLAN, GOOD)
    live.ask("http://127.0.0.1:8080", "What is 2+2?")
    assert live.answer is None


def test_a_checked_node_leaves_its_figures_after_its_results(says, reported):
    node = SimpleNamespace(plan=PLAN, snapshot=GOOD)
    verification._results(HOST, node, ("serving", "power"))
    kinds = [event for event, _ in reported]
    assert kinds.index("figures") > kinds.index("result")
    (figures,) = [values for event, values in reported if event == "figures"]
    assert figures["host"] == "pi5-a"
    assert figures["tokens_per_s"] == RIGHT_ANSWER["tokens_per_second"]
    assert 0 < figures["temperature_c"] < 100


def test_a_node_whose_model_is_not_asked_has_no_speed(says, reported):
    node = SimpleNamespace(plan=PLAN, snapshot=GOOD)
    verification._results(HOST, node, ("power",))
    (figures,) = [values for event, values in reported if event == "figures"]
    assert figures["tokens_per_s"] is None
