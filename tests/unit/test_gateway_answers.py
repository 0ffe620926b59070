"""The known answer in a real HAProxy: who is drained, who is let back, and whom nobody touches."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.unit.haproxies import HAPROXY, Gateway, Node, answering, asking, eventually

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not on this computer")

KNOWN = {"expect": "4"}
WRONG = "it answered '2+2 is 5' to 'What is 2+2?', wanted an answer with '4' (serving.expect)"


@pytest.fixture
def made(tmp_path):
    """A factory of gateways before nodes; all that it made ends with the test."""
    with contextlib.ExitStack() as stack:

        def make(nodes, serving=KNOWN, **settings):
            for one in nodes.values():
                stack.callback(one.end)
            gateway = Gateway(tmp_path, nodes, serving=serving, **settings)
            stack.callback(gateway.end)
            return gateway

        yield make


def two():
    return {"pi5-a": Node(), "pi5-b": Node()}


def test_a_node_that_answers_wrongly_is_drained_and_comes_back_by_itself(made):
    nodes = two()
    gateway = made(nodes)
    assert gateway.asked() == dict.fromkeys(nodes, "right")
    nodes["pi5-b"].says = "2+2 is 5"
    assert gateway.asked() == {"pi5-a": "right", "pi5-b": "wrong"}
    assert gateway.drained() == {"pi5-b": WRONG}
    assert gateway.nodes()["pi5-b"] == "it is drained: see gateway.nodes_answer"
    assert answering(gateway) == {"pi5-a"}
    since_s = gateway.state()["drained"][0]["since_s"]
    assert gateway.asked() == {"pi5-a": "right", "pi5-b": "wrong"}
    assert gateway.state()["drained"][0]["since_s"] == since_s
    nodes["pi5-b"].says = "4"
    assert gateway.asked() == dict.fromkeys(nodes, "right")
    assert gateway.drained() == {}
    assert answering(gateway) == {*nodes}


@pytest.mark.parametrize("says", [None, 7, ""], ids=["nothing", "a number", "empty"])
def test_garbage_is_a_wrong_answer_and_so_is_an_error_of_the_model(made, says):
    nodes = two()
    gateway = made(nodes)
    nodes["pi5-a"].says = says
    nodes["pi5-b"].fails = 500
    assert gateway.asked() == dict.fromkeys(nodes, "wrong")
    assert gateway.drained().keys() == {*nodes}, (
        "the last one too: no answer is better than a wrong one"
    )
    assert gateway.ask()[0] == 503


def test_a_question_waits_for_a_slot_like_everybody_goes_first_and_a_slow_node_stays(made):
    nodes = {"pi5-a": Node()}
    gateway = made(nodes, answers={"deadline_s": 5})
    (node,) = nodes.values()
    node.open.clear()
    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(gateway.ask, asking(f"question {n}")) for n in range(3)]
        eventually(lambda: gateway.waiting() == 2, "two wait")
        assert gateway.asked() == {"pi5-a": "slow"}
        eventually(lambda: gateway.waiting() == 2, "the question has left")
        asked = pool.submit(gateway.asked)
        own = partial(gateway.figure, "server_current_queue", "server")
        eventually(lambda: own() == 1, "it waits too")
        node.open.set()
        assert asked.result() == {"pi5-a": "right"}
        assert [one.result()[0] for one in clients] == [200] * 3
    assert node.most == 1
    asked = [head["host"] == "gateway" for head in node.heads]
    assert asked == [False, True, False, False], "the question came before those that waited"
    assert gateway.drained() == {}


def test_who_is_away_or_has_no_known_answer_is_not_asked(made):
    nodes = two()
    gateway = made(nodes, serving={})
    assert gateway.asked() == dict.fromkeys(nodes, "not asked")
    assert {one["said"] for one in gateway.state()["nodes"]} == {"small: no known answer is set"}
    nodes["pi5-b"].end()
    away = {"pi5-a": "not asked", "pi5-b": "away"}
    eventually(lambda: gateway.asked() == away, "it is down")
    assert gateway.drained() == {}
    assert [node.heads for node in nodes.values()] == [[], []]


def test_what_a_person_drained_nobody_lets_back(made):
    nodes = two()
    gateway = made(nodes)
    gateway.tell("set server pool1/pi5-b state drain")
    somebody = {"pi5-b": "somebody drained it by the gateway's admin socket"}
    for says, answer in (("4", "right"), ("5", "wrong"), ("4", "right")):
        nodes["pi5-b"].says = says
        assert gateway.asked()["pi5-b"] == answer
        assert gateway.drained() == somebody
    assert answering(gateway) == {"pi5-a"}
    gateway.tell("set server pool1/pi5-b state ready")
    gateway.asked()
    assert gateway.drained() == {}
    assert answering(gateway) == {*nodes}


def test_drains_and_their_notes_outlive_a_reload_and_a_start(made):
    nodes = two()
    gateway = made(nodes)
    gateway.tell("set server pool1/pi5-a state drain")
    nodes["pi5-b"].says = "2+2 is 5"
    gateway.asked()
    for renew in (gateway.reload, gateway.restart):
        renew()
        assert gateway.ask()[0] == 503
        assert answering(gateway) == set()
    nodes["pi5-b"].says = "4"
    gateway.asked()
    assert gateway.drained().keys() == {"pi5-a"}
    gateway.reload()
    eventually(lambda: answering(gateway) == {"pi5-b"}, "the one that is right is back")


def test_of_a_drained_node_a_reload_takes_the_address_of_the_new_configuration(made):
    nodes = two()
    gateway = made(nodes)
    gateway.tell("set server pool1/pi5-b state drain")
    other = Node()
    try:
        text = gateway.config.read_text()
        before, after = (f"127.0.0.1:{port} " for port in (nodes["pi5-b"].port, other.port))
        gateway.config.write_text(text.replace(before, after))
        gateway.reload()
        gateway.asked()
        assert gateway.drained().keys() == {"pi5-b"}
        assert (len(nodes["pi5-b"].heads), len(other.heads)) == (0, 1)
    finally:
        other.end()


def test_a_drain_that_haproxy_forgot_is_taken_up_from_the_note(made):
    nodes = two()
    gateway = made(nodes)
    nodes["pi5-b"].says = "2+2 is 5"
    gateway.asked()
    gateway.tell("set server pool1/pi5-b state ready")
    nodes["pi5-b"].open.clear()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(gateway.runs, "ask_nodes")
        eventually(lambda: nodes["pi5-b"].now == 1, "it is asked")
        assert gateway.nodes()["pi5-b"] == "it is drained: see gateway.nodes_answer"
        nodes["pi5-b"].open.set()
        asked.result()


def test_one_asks_at_a_time_and_damaged_notes_are_none(made):
    nodes = two()
    gateway = made(nodes)
    (gateway.folder / "drained.json").write_text('{"wrong": []}')
    nodes["pi5-b"].open.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.runs, "ask_nodes")
        eventually(lambda: nodes["pi5-b"].now == 1, "it asks")
        assert gateway.runs("ask_nodes") == "another run is asking\n"
        nodes["pi5-b"].open.set()
        first.result()
    assert gateway.drained() == {}


def test_without_a_gateway_nothing_is_found_and_nothing_is_written(made):
    gateway = made(two())
    gateway.end()
    for name in ("ask_nodes", "keep_drained"):
        assert "does the gateway run?" in gateway.runs(name, code=1)
    assert not (gateway.folder / "state.json").exists()


def test_the_frontend_of_questions_gives_no_other_nodes_answer(made):
    nodes = two()
    gateway = made(nodes)
    plan = json.loads((gateway.folder / "questions.json").read_text())
    plan["nodes"][1]["node"] = "pi5-z"
    (gateway.folder / "questions.json").write_text(json.dumps(plan))
    gateway.runs("ask_nodes")
    assert [one["answer"] for one in gateway.state()["nodes"]] == ["right", "away"]
