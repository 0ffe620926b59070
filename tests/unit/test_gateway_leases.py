"""Nodes that a run takes out of a real HAProxy: who waits, who comes back, and how a lease ends."""

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.haproxies import HAPROXY, Gateway, Node, answering, asking, eventually

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not on this computer")

WHY = "a test takes it out"


@pytest.fixture
def made(tmp_path):
    """A factory of gateways before two nodes; all that it made ends with the test."""
    with contextlib.ExitStack() as stack:

        def make(names=("small", "small"), **rolling):
            nodes = {f"pi5-{c}": Node((name,)) for c, name in zip("ab", names, strict=True)}
            for one in nodes.values():
                stack.callback(one.end)
            more = {"rolling": rolling, "serving": {"expect": "4"}}
            gateway = Gateway(tmp_path, nodes, **more)
            stack.callback(gateway.end)

            def takes_out(node):
                run = gateway.takes_out(node)
                stack.callback(run.goes)
                return run

            gateway.out = takes_out
            return gateway, nodes

        yield make


def test_a_node_is_out_once_its_requests_are_over_and_back_when_the_run_says_so(made):
    gateway, nodes = made()
    nodes["pi5-a"].open.clear()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(gateway.ask, asking(f"question {n}")) for n in range(2)]
        eventually(lambda: nodes["pi5-a"].now == 1, "it has a request")
        run = gateway.out("pi5-a")
        eventually(lambda: gateway.nodes()["pi5-a"].startswith("it is drained"), "it is drained")
        assert answering(gateway) == {"pi5-b"}
        assert nodes["pi5-a"].now == 1
        nodes["pi5-a"].open.set()
        told = run.told()
        assert (told["state"], told["left"], told["last"]) == ("out", 0, [])
        assert [one.result()[0] for one in asked] == [200, 200]
    assert answering(gateway) == {"pi5-b"}
    gateway.asked()
    assert gateway.drained() == {"pi5-a": WHY}
    assert run.says("back") == {"state": "back", "up": True}
    assert answering(gateway) == {*nodes}
    gateway.asked()
    assert gateway.drained() == {}


def test_requests_that_last_are_not_waited_for_for_ever(made):
    gateway, nodes = made(drain_s=0)
    nodes["pi5-a"].open.clear()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(gateway.ask, asking(f"question {n}")) for n in range(2)]
        eventually(lambda: nodes["pi5-a"].now == 1, "it has a request")
        assert gateway.out("pi5-a").told()["left"] == 1
        nodes["pi5-a"].open.set()
        for one in asked:
            one.result()


def test_nodes_are_out_one_after_the_other_and_the_next_waits_until_the_first_is_up(made):
    gateway, nodes = made()
    first = gateway.out("pi5-a")
    assert first.told()["state"] == "out"
    second = gateway.out("pi5-b")
    assert second.told() == {"state": "waiting", "node": "pi5-a"}
    nodes["pi5-a"].end()
    eventually(lambda: gateway.nodes()["pi5-a"] == "nothing listens there", "it is restarting")
    with ThreadPoolExecutor(1) as pool:
        back = pool.submit(first.says, "back")
        nodes["pi5-a"].begin()
        assert back.result() == {"state": "back", "up": True}
    told = second.told()
    assert (told["state"], told["last"]) == ("out", [])
    assert answering(gateway) == {"pi5-a"}
    assert second.says("back")["up"]


def test_no_request_fails_while_both_are_restarted_in_turn(made):
    gateway, nodes = made()
    over, outcomes = threading.Event(), []

    def ask_on(number):
        turn = 0
        while not over.is_set():
            turn += 1
            outcomes.append(gateway.ask(asking(f"question {number}, {turn}"))[0])

    def restart(name):
        run = gateway.out(name)
        while run.told()["state"] == "waiting":
            pass
        assert nodes[name].now == 0
        nodes[name].end()
        nodes[name].begin()
        return run.says("back")["up"]

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask_on, number) for number in range(4)]
        try:
            restarted = [pool.submit(restart, name) for name in nodes]
            assert [one.result() for one in restarted] == [True, True]
        finally:
            over.set()
        for one in asked:
            one.result()
    assert {*outcomes} == {200}


def test_the_last_node_for_a_model_is_not_taken_out(made):
    gateway, _nodes = made(("small", "large"))
    run = gateway.out("pi5-b")
    told = run.told()
    assert (told["state"], told["last"]) == ("out", ["large"])
    assert gateway.ask(asking(model="large"))[0] == 200
    assert run.says("back") == {"state": "back", "up": True}


def test_one_whose_gate_failed_stays_out_and_keeps_nobody_else_waiting(made):
    gateway, _nodes = made()
    run = gateway.out("pi5-a")
    run.told()
    assert run.says("the deploy's gate failed") == {"state": "kept"}
    gateway.asked()
    assert gateway.drained() == {"pi5-a": "the deploy's gate failed"}
    assert gateway.out("pi5-b").told()["last"] == ["small"]
    assert answering(gateway) == {"pi5-b"}


def test_a_run_that_vanishes_leaves_a_lease_that_ends_with_a_right_answer_alone(made):
    gateway, nodes = made(lease_s=10)
    run = gateway.out("pi5-a")
    assert run.told()["state"] == "out"
    run.goes()
    assert gateway.asked()["pi5-a"] == "not asked"
    notes = gateway.folder / "drained.json"
    text = json.loads(notes.read_text())
    text["leases"]["pi5-a"]["until_s"] = 1.0
    notes.write_text(json.dumps(text))
    nodes["pi5-a"].says = "5"
    assert gateway.asked()["pi5-a"] == "wrong"
    assert gateway.drained().keys() == {"pi5-a"}
    nodes["pi5-a"].says = "4"
    assert gateway.asked()["pi5-a"] == "right"
    assert gateway.drained() == {}
    assert answering(gateway) == {*nodes}


def test_what_a_person_drained_a_run_neither_takes_nor_lets_back(made):
    gateway, _nodes = made()
    gateway.tell("set server pool1/pi5-a state drain")
    run = gateway.out("pi5-a")
    assert run.told()["state"] == "out"
    assert run.says("back")["state"] == "back"
    gateway.asked()
    assert gateway.drained() == {"pi5-a": "somebody drained it by the gateway's admin socket"}


def test_a_node_that_is_down_or_not_behind_it_is_not_waited_for(made):
    gateway, nodes = made()
    nodes["pi5-a"].end()
    gateway.out("pi5-b").told()
    away = {"state": "none", "why": "it has no requests there"}
    eventually(lambda: gateway.out("pi5-a").told() == away, "it is down")
    assert gateway.out("pi5-z").told() == away


def test_a_gateway_that_is_not_there_is_told(made):
    gateway, _ = made()
    gateway.end()
    told = gateway.out("pi5-a").told()
    assert (told["state"], "does the gateway run?" in told["why"]) == ("none", True)
    (gateway.folder / "questions.json").unlink()
    assert gateway.out("pi5-a").told()["why"].endswith("questions.json: deploy the gateway")
