"""What a gateway tells of its queues and nodes is passed on, and its silence is told as that."""

import pytest

from bramble.remote import exposition as written
from bramble.remote import gateway_state
from bramble.system import exposition
from bramble.system.exposition import value
from tests.unit.looks import recorded
from tests.unit.remote.test_node_edge_state import HEAD, answering

# Of HAProxy 2.6.12 with the configuration of a gateway before two nodes of one slot, of which one is
# down: one request is answered, two wait, one was refused.
FIGURES = recorded("haproxy-metrics.gateway.2.6.12.txt").encode()
WANTED = {"queue": 2, "pools": {"pool1": ["small"], "pool2": ["large", "huge"]}}


def figures(tmp_path, answer=HEAD + FIGURES):
    path = tmp_path / "figures.sock"
    with answering(path, answer) as asked:
        found = gateway_state.figures(str(path), WANTED["pools"])
    assert asked[0].startswith(b"GET /metrics?scope=frontend&scope=backend&scope=server HTTP")
    return found


def test_who_waits_and_how_nodes_are_is_told_by_pool(tmp_path):
    found = figures(tmp_path)
    assert found["waiting"] == {"pool1": 2, "pool2": 0}
    assert found["nodes"] == {
        "pool1/pi5-a": {"busy": 1, "slots": 1, "state": "UP", "check": "L7OK"},
        "pool1/pi5-b": {"busy": 0, "slots": 1, "state": "DOWN", "check": "L4CON"},
        "pool2/pi5-c": {"busy": 0, "slots": 1, "state": "UP", "check": "L7OK"},
    }
    assert (found["refused_total"], found["connections"]) == (1, 3)


def test_prometheus_reads_them_by_model_and_node(tmp_path):
    told = exposition.parse(written.text(gateway_state.families(WANTED, figures(tmp_path))))
    assert value(told, "bramble_gateway_up") == 1
    assert value(told, "bramble_gateway_requests_total", code="5xx") == 1
    assert value(told, "bramble_gateway_queued", models="small") == 2
    assert value(told, "bramble_gateway_queue_places") == 2
    up = {one.labels["node"]: one.value for one in told if one.name == "bramble_gateway_node_up"}
    assert up == {"pi5-a": 1, "pi5-b": 0, "pi5-c": 1}
    assert value(told, "bramble_gateway_node_busy", node="pi5-a", models="small") == 1
    assert value(told, "bramble_gateway_node_slots", node="pi5-c", models="large, huge") == 1
    models = [
        value(told, "bramble_gateway_model_nodes", model=m) for m in ("small", "large", "huge")
    ]
    assert models == [1, 1, 1]


def test_a_node_that_was_not_asked_yet_is_none_that_is_up(tmp_path):
    text = FIGURES.replace(b'pi5-a",state="L7OK"} 1', b'pi5-a",state="L7OK"} 0')
    found = figures(tmp_path, HEAD + text)
    told = exposition.parse(written.text(gateway_state.families(WANTED, found)))
    assert value(told, "bramble_gateway_model_nodes", model="small") == 0


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b'haproxy_frontend_x{proxy="edge"} 1\n'])
def test_a_gateway_that_tells_none_is_down_and_nothing_is_made_up(tmp_path, answer):
    assert figures(tmp_path, answer) is None
    told = exposition.parse(written.text(gateway_state.families(WANTED, None)))
    assert {one.name: one.value for one in told} == {
        "bramble_gateway_up": 0,
        "bramble_gateway_queue_places": 2,
    }
