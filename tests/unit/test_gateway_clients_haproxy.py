"""What single clients may use of a gateway, in a real HAProxy: a flood of one keeps no other one out."""

import contextlib
import json
import signal
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from bramble.remote import balancer, usage
from tests.unit.gateways import BOT, WITH_BOT
from tests.unit.haproxies import HAPROXY, LAPTOP, Gateway, Node, asking, eventually

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not on this computer")


@pytest.fixture
def made(tmp_path):
    """A factory of gateways before nodes that know the client bot; all of it ends with the test."""
    with contextlib.ExitStack() as stack:

        def make(nodes, **settings):
            for one in nodes.values():
                stack.callback(one.end)
            gateway = Gateway(tmp_path, nodes, known=WITH_BOT, **settings)
            stack.callback(gateway.end)
            return gateway

        yield make


def flood(pool, gateway, count):
    """Requests of the bot, which come at once."""
    return [pool.submit(gateway.ask, asking(f"flood {n}"), BOT, who="bot") for n in range(count)]


def answered(asked):
    return Counter(one.result()[0] for one in asked if one.done())


def test_a_client_asks_for_its_models_by_all_of_their_names_and_sees_no_others(made):
    nodes = {"pi5-a": Node(), "pi5-b": Node(("large",))}
    aliases = {"mini": "small", "gpt-4o": "large"}
    clients = {"bot": {"models": ["mini"]}}
    gateway = made(nodes, aliases=aliases, default_model="large", clients=clients)
    for key, names in ((BOT, ["small", "mini"]), (LAPTOP, ["small", "large", "mini", "gpt-4o"])):
        _, _, said = gateway.ask(method="GET", path="/v1/models", key=key)
        assert [one["id"] for one in said["data"]] == names
        for name in names:
            assert gateway.ask(asking(model=name), key)[0] == 200
    asked = len(nodes["pi5-b"].heads)
    for body in (
        asking(model="large"),
        asking(model="gpt-4o"),
        asking(model="auto"),
        asking(model=None),
    ):
        status, _, said = gateway.ask(body, BOT)
        assert (status, said["error"]["code"]) == (403, "model_not_allowed")
    assert gateway.ask(asking(model="huge"), BOT)[2]["error"]["code"] == "model_not_found"
    assert len(nodes["pi5-b"].heads) == asked
    assert '"client":"bot"' in (gateway.folder / "log").read_text()


def test_a_model_that_is_named_twice_or_in_disguise_opens_no_other_one(made):
    """HAProxy reads the first of two, llama-server the last; a key with escapes only the latter."""
    nodes = {"pi5-a": Node(), "pi5-b": Node(("large",))}
    gateway = made(nodes, default_model="large", clients={"bot": {"models": ["small"]}})
    rest = json.dumps(asking())[1:]
    twice = '{"model": "small", "model": "large", ' + rest.replace(', "model": "small"', "")
    assert gateway.ask(text=twice, key=BOT)[1]["x-bramble-node"] == "pi5-a"
    hidden = rest.replace('"model"', '"mod\\u0065l"').replace("small", "large")
    assert gateway.ask(text="{" + hidden, key=BOT)[0] == 403
    assert nodes["pi5-b"].heads == []


def test_a_client_has_a_rate_of_its_own_and_others_keep_theirs(made):
    clients = {"bot": {"requests_per_minute": 2}}
    gateway = made({"pi5-a": Node()}, requests_per_minute=4, clients=clients)
    assert [gateway.ask(key=BOT)[0] for _ in range(3)] == [200, 200, 429]
    assert [gateway.ask()[0] for _ in range(5)] == [200] * 4 + [429]


def test_a_client_has_a_number_at_once_of_its_own_and_others_keep_theirs(made):
    nodes = {"pi5-a": Node()}
    (node,) = nodes.values()
    gateway = made(nodes, at_once=2, clients={"bot": {"at_once": 1}})
    node.open.clear()
    with ThreadPoolExecutor(4) as pool:
        first = flood(pool, gateway, 1)
        eventually(lambda: node.now == 1, "the slot is taken")
        status, heads, said = gateway.ask(key=BOT)
        assert (status, said["error"]["code"]) == (429, "rate_limited")
        assert int(heads["Retry-After"]) > 0
        others = [pool.submit(gateway.ask) for _ in range(2)]
        eventually(lambda: gateway.waiting() == 2, "the others wait")
        assert gateway.ask()[0] == 429
        node.open.set()
        assert answered_all([*first, *others]) == {200: 3}


def answered_all(asked):
    return Counter(one.result()[0] for one in asked)


@pytest.mark.parametrize(
    ("clients", "waiting", "refused", "status"),
    [
        ({}, 4, 503, 503),
        ({"bot": {"queue": 1}}, 1, 429, 200),
        ({"bot": {}}, 2, 429, 200),
        ({"laptop": {}}, 2, 429, 200),
    ],
    ids=["nobody is named", "a share of its own", "named", "another one is named"],
)
def test_a_flood_fills_its_share_of_the_queue_and_the_rest_is_for_others(
    made, clients, waiting, refused, status
):
    """Without a share the flood would have all of it: this is how that fails."""
    nodes = {"pi5-a": Node(), "pi5-b": Node()}
    gateway = made(nodes, queue=4, clients=clients)
    for node in nodes.values():
        node.open.clear()
    with ThreadPoolExecutor(16) as pool:
        asked = flood(pool, gateway, 12)
        left = 12 - 2 - waiting
        eventually(lambda: answered(asked) == {refused: left}, "the rest is refused")
        eventually(lambda: [node.now for node in nodes.values()] == [1, 1], "both are busy")
        assert gateway.waiting() == waiting
        other = pool.submit(gateway.ask)
        if status == 200:
            eventually(lambda: gateway.waiting() == waiting + 1, "the other one waits")
        else:
            assert other.result()[0] == status
        for node in nodes.values():
            node.open.set()
        assert other.result()[0] == status
        assert answered_all(asked) == {200: 2 + waiting, refused: left}


def test_while_one_floods_without_end_each_request_of_another_one_is_answered(made):
    nodes = {"pi5-a": Node(), "pi5-b": Node()}
    settings = {"requests_per_minute": 1_000_000, "queue": 4}
    gateway = made(nodes, clients={"bot": {"queue": 2}}, **settings)
    over, outcomes = threading.Event(), Counter()

    def ask_on(number):
        while not over.is_set():
            outcomes[gateway.ask(asking(f"flood {number}"), BOT)[0]] += 1

    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(ask_on, number)
        eventually(lambda: outcomes[429] > 0 and outcomes[200] > 0, "it is a flood")
        try:
            assert {gateway.ask(asking(f"question {n}"))[0] for n in range(10)} == {200}
        finally:
            over.set()
    assert set(outcomes) == {200, 429}


@pytest.mark.parametrize("later", [False, True], ids=["by default", "an offset that is over"])
def test_a_batch_lets_others_go_first_but_not_for_ever(made, later):
    nodes = {"pi5-a": Node()}
    (node,) = nodes.values()
    gateway = made(nodes, queue_s=600, clients={"bot": {"priority": "batch"}})
    if later:
        text = gateway.config.read_text()
        assert "set-priority-offset int(300000)" in text
        changed = text.replace("int(300000)", "int(1)").replace(gateway.edge.plan_id, "0" * 12)
        gateway.config.write_text(changed)
        gateway.process.send_signal(signal.SIGUSR2)
        renewed = f"{'0' * 12} ok"
        eventually(lambda: gateway.ask(method="GET", path="/health")[2] == renewed, "it is new")
    node.open.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = flood(pool, gateway, 1)
        eventually(lambda: node.now == 1, "the slot is taken")
        asked += flood(pool, gateway, 1)
        eventually(lambda: gateway.waiting() == 1, "the batch waits")
        asked.append(pool.submit(gateway.ask, who="laptop"))
        eventually(lambda: gateway.waiting() == 2, "both wait")
        node.open.set()
        assert answered_all(asked) == {200: 3}
    order = ["bot", "bot", "laptop"] if later else ["bot", "laptop", "bot"]
    assert [head["who"] for head in node.heads] == order


def test_haproxy_takes_what_clients_may_have_without_a_warning(tmp_path):
    several = {"priority": "batch", "models": ["large"], "queue": 1, "at_once": 1}
    settings = {"clients": {"bot": several, "laptop": {"models": ["small"]}}}
    nodes = {"pi5-a": Node(), "pi5-b": Node(("large",))}
    gateway = Gateway(tmp_path, nodes, known=WITH_BOT, **settings)
    gateway.end()
    for node in nodes.values():
        node.end()
    # Without it a first start warns that it is not there yet.
    (tmp_path / "servers.state").write_text(balancer.kept({}, ""))
    argv = [HAPROXY, "-c", "-f", str(gateway.config)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_what_the_log_says_sums_up_to_what_was_asked(made):
    """The lines of a real HAProxy, as the program reads them that sums up a host's journal."""
    nodes = {"pi5-a": Node(), "pi5-b": Node(("large",))}
    gateway = made(nodes, clients={"bot": {"models": ["small"]}})
    for _ in range(3):
        assert gateway.ask(key=BOT)[0] == 200
    assert gateway.ask(asking(model="large"))[0] == 200
    assert gateway.ask(asking(model="large"), BOT)[0] == 403
    assert gateway.ask(key="brk_wrong")[0] == 401
    gateway.ask(method="GET", path="/v1/models")
    nodes["pi5-a"].fails = 400
    assert gateway.ask()[0] == 400
    sums = usage.Sums()
    log = gateway.folder / "log"
    eventually(lambda: log.read_text().count('"client"') == 8, "all are told")
    for line in log.read_text().splitlines():
        entry = {"_SYSTEMD_UNIT": usage.GATEWAY, "MESSAGE": line, "__REALTIME_TIMESTAMP": "0"}
        sums.take(json.dumps(entry))
    found = {key[2:]: (n["requests"], n["refused"], n["failed"]) for key, n in sums.rows.items()}
    assert found == {
        ("bot", "pi5-a", "small"): (3, 0, 0),
        ("laptop", "pi5-b", "large"): (1, 0, 0),
        ("bot", "", "large"): (1, 1, 0),
        ("", "", ""): (1, 1, 0),
        ("laptop", "pi5-a", "small"): (1, 0, 1),
    }
    assert sums.unread == 0
    assert all(n["bytes_in"] > 0 for key, n in sums.rows.items() if key[3])
