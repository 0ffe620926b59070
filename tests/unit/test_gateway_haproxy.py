"""The gateway's configuration in a real HAProxy, before nodes that answer when a test lets them."""

import contextlib
import datetime
import json
import signal
import socket
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection

import pytest

from bramble.access import authority
from bramble.edge.states import UP
from bramble.remote import balancer
from bramble.roles.gateway.wanted import PLACE
from tests.unit import gateways
from tests.unit.haproxies import (
    CHAT,
    HAPROXY,
    LAPTOP,
    LONGEST_S,
    Edge,
    Gateway,
    Node,
    asking,
    eventually,
    here,
)

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not on this computer")


@pytest.fixture
def made(tmp_path):
    """A factory of gateways before nodes; all that it made ends with the test."""
    with contextlib.ExitStack() as stack:

        def make(nodes, **settings):
            for one in nodes.values():
                stack.callback(one.end)
            gateway = Gateway(tmp_path, nodes, **settings)
            stack.callback(gateway.end)
            return gateway

        yield make


def two():
    return {"pi5-a": Node(), "pi5-b": Node()}


@contextlib.contextmanager
def held(nodes):
    """Nodes that do not answer."""
    for node in nodes.values():
        node.open.clear()
    try:
        yield
    finally:
        for node in nodes.values():
            node.open.set()


def test_a_request_is_answered_by_a_node_that_sees_the_gateways_key_and_no_clients(made):
    nodes = two()
    gateway = made(nodes, default_model="small", aliases={"gpt-4o": "small"})
    for named in ({}, {"model": "gpt-4o"}, {"model": "auto"}, {"model": None}):
        status, heads, _ = gateway.ask(asking(**named))
        assert (status, heads["x-bramble-node"] in nodes) == (200, True)
    seen = [head for node in nodes.values() for head in node.heads]
    assert {head["authorization"] for head in seen} == {f"Bearer {gateways.KEY}"}
    assert LAPTOP not in str(seen)
    log = (gateway.folder / "log").read_text()
    assert '"model":"small"' in log
    assert gateways.KEY not in log
    assert "2+2" not in log


def test_who_has_no_key_or_the_gateways_own_gets_nothing(made):
    nodes = two()
    gateway = made(nodes)
    for key in (None, "brk_wrong", gateways.KEY):
        for method, path in (("POST", CHAT), ("GET", "/v1/models")):
            assert gateway.ask(key=key, method=method, path=path)[0] == 401
    assert [node.heads for node in nodes.values()] == [[], []]


def test_names_are_those_of_the_inventory_and_another_is_refused_in_openais_form(made):
    gateway = made({"pi5-a": Node(), "pi5-b": Node(("large",))}, aliases={"gpt-4o": "large"})
    status, _, said = gateway.ask(method="GET", path="/v1/models")
    assert (status, [one["id"] for one in said["data"]]) == (200, ["small", "large", "gpt-4o"])
    for body in (asking(model="huge"), asking(model="auto"), asking(model=None), asking(model=7)):
        status, _, said = gateway.ask(body)
        assert (status, said["error"]["code"]) == (404, "model_not_found")
        assert said["error"]["type"] == "invalid_request_error"
    for model, node in (("small", "pi5-a"), ("large", "pi5-b"), ("gpt-4o", "pi5-b")):
        assert gateway.ask(asking(model=model))[1]["x-bramble-node"] == node


def test_a_body_is_seen_whole_wherever_the_model_stands_in_it(made):
    gateway = made({"pi5-a": Node(), "pi5-b": Node(("large",))})
    long = asking("x" * 900_000, model="large")
    assert gateway.ask(long)[1]["x-bramble-node"] == "pi5-b"


def test_no_node_gets_more_than_its_slots_and_the_rest_waits_in_bounds(made):
    nodes = two()
    gateway = made(nodes, queue=3)
    with ThreadPoolExecutor(8) as pool, held(nodes):
        asked = [pool.submit(gateway.ask, asking(f"question {n}")) for n in range(5)]
        eventually(lambda: gateway.waiting() == 3, "three wait")
        eventually(lambda: [node.now for node in nodes.values()] == [1, 1], "all slots are taken")
        status, heads, said = gateway.ask(asking("one more"))
        assert (status, said["error"]["code"]) == (503, "queue_full")
        assert int(heads["Retry-After"]) > 0
        for node in nodes.values():
            node.open.set()
        assert [one.result()[0] for one in asked] == [200] * 5
    assert [node.most for node in nodes.values()] == [1, 1]
    assert sum(node.answered for node in nodes.values()) == 5


def test_without_queues_the_slots_answer_and_one_more_is_told_to_come_again(made, tmp_path):
    model = Node()
    model.key = None
    edge = Edge(tmp_path / "edge", "pi5-a", model, queue=0)
    gateway = made({"pi5-a": edge}, queue=0)
    with contextlib.ExitStack() as ends, ThreadPoolExecutor(1) as pool, held({"pi5-a": model}):
        ends.callback(model.end)
        asked = pool.submit(gateway.ask, asking("the first"))
        eventually(lambda: model.now == 1, "the slot is taken")
        status, _, said = gateway.ask(asking("one more"))
        assert (status, said["error"]["code"]) == (503, "queue_full")
        model.open.set()
        assert asked.result()[0] == 200


def test_who_waited_too_long_is_told_to_come_again(made):
    nodes = {"pi5-a": Node()}
    gateway = made(nodes, queue_s=1)
    with ThreadPoolExecutor(2) as pool, held(nodes):
        first = pool.submit(gateway.ask)
        eventually(lambda: nodes["pi5-a"].now == 1, "the slot is taken")
        status, heads, said = gateway.ask()
        assert (status, said["error"]["code"]) == (503, "no_capacity")
        assert int(heads["Retry-After"]) > 0
        nodes["pi5-a"].open.set()
        assert first.result()[0] == 200


def test_a_conversation_stays_with_a_node_while_that_has_a_free_slot(made):
    nodes = two()
    gateway = made(nodes)
    own = [gateway.ask(asking("again and again"))[1]["x-bramble-node"] for _ in range(6)]
    assert len({*own}) == 1
    several = {gateway.ask(asking(f"subject {n}"))[1]["x-bramble-node"] for n in range(24)}
    assert several == {*nodes}
    with ThreadPoolExecutor(2) as pool, held(nodes):
        both = [pool.submit(gateway.ask, asking("again and again")) for _ in range(2)]
        eventually(lambda: [node.now for node in nodes.values()] == [1, 1], "neither waits")
        for node in nodes.values():
            node.open.set()
        assert {one.result()[1]["x-bramble-node"] for one in both} == {*nodes}


def test_a_client_that_leaves_frees_its_slot_and_its_place_in_the_queue(made):
    nodes = {"pi5-a": Node()}
    gateway, (node,) = made(nodes), nodes.values()
    body = json.dumps(asking()).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {LAPTOP}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with held(nodes):
        with socket.create_connection(("127.0.0.1", gateway.port)) as first:
            first.sendall(request)
            eventually(lambda: node.now == 1, "it has the slot")
            with socket.create_connection(("127.0.0.1", gateway.port)) as second:
                second.sendall(request)
                eventually(lambda: gateway.waiting() == 1, "it waits")
            eventually(lambda: gateway.waiting() == 0, "it has left the queue")
            assert node.left == 0
        eventually(lambda: node.left == 1, "it has left the slot")
    assert gateway.ask()[0] == 200


def test_a_node_that_dies_costs_no_request_and_is_told_as_down(made):
    nodes = two()
    gateway = made(nodes)
    nodes["pi5-a"].end()
    with ThreadPoolExecutor(6) as pool:
        asked = pool.map(lambda n: gateway.ask(asking(f"question {n}")), range(12))
        assert {(status, heads["x-bramble-node"]) for status, heads, _ in asked} == {(200, "pi5-b")}
    down = {"pi5-a": "nothing listens there", "pi5-b": UP}
    eventually(lambda: gateway.nodes() == down, "it is down")


@pytest.mark.parametrize("status", [502, 503, 0], ids=["ended", "not ready", "cut off"])
def test_what_a_node_did_not_begin_to_answer_another_one_does(made, status):
    nodes = two()
    gateway = made(nodes)
    nodes["pi5-a"].fails = status
    found = [gateway.ask(asking(f"question {n}")) for n in range(12)]
    assert {(status, heads["x-bramble-node"]) for status, heads, _ in found} == {(200, "pi5-b")}
    assert nodes["pi5-a"].answered > 0


def test_a_prompt_that_no_node_bears_is_not_asked_for_ever(made):
    nodes = two()
    gateway = made(nodes)
    for node in nodes.values():
        node.fails = 502
    assert gateway.ask()[0] == 502
    assert sum(node.answered for node in nodes.values()) == 4


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("model", "it serves another model"),
        ("key", "it does not take the gateway's key, or its model is not ready"),
    ],
)
def test_a_node_with_another_model_or_that_takes_no_key_is_down(made, other, why):
    nodes = two()
    gateway = made(nodes)
    assert gateway.nodes() == dict.fromkeys(nodes, UP)
    if other == "model":
        nodes["pi5-b"].names = ("another",)
    else:
        nodes["pi5-b"].key = "another"
    eventually(lambda: gateway.nodes() == {"pi5-a": UP, "pi5-b": why}, "it is down")


def test_a_node_is_believed_by_a_certificate_of_the_fleets_authority_for_its_own_name(
    made, tmp_path
):
    now = datetime.datetime.now(datetime.UTC)
    fleets, others = tmp_path / "fleets", tmp_path / "others"
    issued = {}
    for folder, host in ((fleets, "pi5-a"), (fleets, "another"), (others, "pi5-c")):
        folder.mkdir(exist_ok=True)
        issued[host] = authority.issue(folder, host, [host], now)
    nodes = {
        "pi5-a": Node(certificate=issued["pi5-a"]),
        "pi5-b": Node(certificate=issued["another"]),
        "pi5-c": Node(certificate=issued["pi5-c"]),
    }
    gateway = made(nodes, authority=(fleets / "tls" / "ca.crt").read_text())
    wrong = "its certificate is not believed"
    told = {"pi5-a": UP, "pi5-b": wrong, "pi5-c": wrong}
    eventually(lambda: gateway.nodes() == told, "one is up")
    assert {gateway.ask(asking(f"question {n}"))[0] for n in range(4)} == {200}
    assert [len(node.heads) for node in nodes.values()] == [4, 0, 0]


def test_a_reload_loses_no_request(made):
    nodes = two()
    gateway = made(nodes)
    with ThreadPoolExecutor(8) as pool, held(nodes):
        before = [pool.submit(gateway.ask, asking(f"question {n}")) for n in range(4)]
        eventually(lambda: gateway.waiting() == 2, "two wait")
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace(gateway.edge.plan_id, "0" * 12))
        gateway.process.send_signal(signal.SIGUSR2)
        renewed = f"{'0' * 12} ok"
        eventually(lambda: gateway.ask(method="GET", path="/health")[2] == renewed, "it is new")
        after = [pool.submit(gateway.ask, asking(f"later {n}")) for n in range(2)]
        for node in nodes.values():
            node.open.set()
        assert [one.result()[0] for one in (*before, *after)] == [200] * 6


def test_a_connection_that_a_client_keeps_outlives_a_reload_until_its_next_answer(made):
    gateway = made(two())
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=LONGEST_S)
    heads = {"Authorization": f"Bearer {LAPTOP}"}

    def asked():
        connection.request("GET", "/v1/models", headers=heads)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Connection"]

    with contextlib.closing(connection):
        assert asked() == (200, None)
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace(gateway.edge.plan_id, "0" * 12))
        gateway.process.send_signal(signal.SIGUSR2)
        renewed = f"{'0' * 12} ok"
        eventually(lambda: gateway.ask(method="GET", path="/health")[2] == renewed, "it is new")
        assert asked() == (200, "close")


@contextlib.contextmanager
def a_crowd(gateway, clients=6):
    """Clients that ask on and on; what they got, when it is over."""
    outcomes, over = Counter(), threading.Event()

    def ask_on(number):
        turn = 0
        while not over.is_set():
            turn += 1
            outcomes[gateway.ask(asking(f"question {number}, {turn}"))[0]] += 1

    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask_on, number) for number in range(clients)]
        try:
            yield outcomes
        finally:
            over.set()
        for one in asked:
            one.result()


@pytest.mark.parametrize("loads", [False, True], ids=["gone for long", "loading again at once"])
def test_a_model_that_is_killed_costs_no_request_and_comes_back(made, tmp_path, loads):
    """Behind the nodes' own ways in, which have the model of the one that is free refuse at once."""
    models = {"pi5-a": Node(), "pi5-b": Node()}
    for model in models.values():
        model.key = None
    edges = {name: Edge(tmp_path / name, name, model) for name, model in models.items()}
    gateway, model = made({**edges}, requests_per_minute=100_000), models["pi5-b"]
    try:
        with a_crowd(gateway) as outcomes:
            eventually(lambda: outcomes[200] > 20, "both answer")
            assert gateway.nodes() == dict.fromkeys(models, UP)
            model.end()
            # A crowd notices at once that nothing listens, before the next check does.
            refused = partial(edges["pi5-b"].figure, "server_connection_errors_total", "server")
            eventually(lambda: refused() > 0, "somebody is refused")
            if loads:
                model.fails = 503
                model.begin()
            eventually(lambda: gateway.nodes()["pi5-b"] != UP, "it is seen")
            if loads:
                model.fails = None
            else:
                model.begin()
            eventually(lambda: gateway.nodes() == dict.fromkeys(models, UP), "it is back")
            before = outcomes[200]
            eventually(lambda: outcomes[200] > before + 20, "both answer again")
        assert set(outcomes) == {200}
        # What a node's own way in lets wait is more than its slots.
        assert [edge.figure("backend_max_queue") for edge in edges.values()] == [0, 0]
    finally:
        for one in models.values():
            one.end()


def checked(folder, hosts, **settings):
    """What HAProxy says of a plan's files."""
    gateways.inventory(folder, hosts, settings)
    # Without it a first start warns that it is not there yet.
    (folder / "servers.state").write_text(balancer.kept({}, ""))
    for file in gateways.plan(folder, authority=None).roles["gateway"].files:
        (folder / file.path.rpartition("/")[2]).write_text(here(file.text, PLACE, folder))
    argv = [HAPROXY, "-c", "-f", str(folder / "haproxy.cfg")]
    return subprocess.run(argv, capture_output=True, text=True)


def test_haproxy_takes_a_fleet_of_several_pools_and_addresses_without_a_warning(tmp_path):
    hosts = gateways.nodes(3) | {"pi5-x": gateways.node(9, name="a@b,(c)", digit="2", slots=4)}
    hosts["pi5-a"]["ssh"]["address"] = "fd00::41"
    done = checked(tmp_path, hosts, address="fd00::40", default_model="a@b,(c)")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
