"""What an inventory says of single clients of a gateway: what lands, and what is refused."""

import json

import pytest
from pydantic import ValidationError

from bramble import fleet
from bramble.access import keys
from bramble.documents.problems import InventoryError
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Held, Lock
from bramble.roles.gateway.settings import Settings
from bramble.roles.gateway.wanted import PLACE
from tests.unit.gateways import CLIENTS, SOURCE, WITH_BOT, inventory, node, nodes, plan
from tests.unit.test_gateway_role import several


def configuration(folder, clients, hosts=None, **gateway):
    """HAProxy's configuration with these clients."""
    keys.write(folder, WITH_BOT)
    made = inventory(folder, hosts or nodes(), gateway | {"clients": clients})
    files = plan(made, clients=WITH_BOT).roles["gateway"].files
    return next(file.text for file in files if file.path == PLACE.config)


def test_without_clients_of_its_own_a_gateway_has_not_a_line_more(tmp_path):
    found = configuration(tmp_path, {})
    assert "{ sc_http_req_rate(0,clients) gt 600 }" in found
    assert "{ sc_conn_cur(0,clients) gt 8 }" in found
    for word in ("acl is_", "txn.share", "set-priority-offset", "model_not_allowed"):
        assert word not in found


def test_a_client_has_what_is_its_own_and_the_gateways_for_the_rest(tmp_path):
    clients = {"bot": {"requests_per_minute": 60, "priority": "batch"}, "laptop": {"queue": 3}}
    found = configuration(tmp_path, clients, at_once=5, queue=9, queue_s=100)
    for line in (
        "set-var(txn.rate) int(600)\n",
        "set-var(txn.most) int(5)\n",
        "set-var(txn.share) int(4)\n",
        "set-var(txn.rate) int(60) if is_bot\n",
        "set-var(txn.most) int(5) if is_bot\n",
        "set-var(txn.share) int(4) if is_bot\n",
        "set-var(txn.share) int(3) if is_laptop\n",
        "set-priority-offset int(50000) if is_bot\n",
    ):
        assert line in found
    assert found.count("set-priority-offset") == 1
    assert "model_not_allowed" not in found


def test_of_a_queue_without_places_a_share_is_one(tmp_path):
    assert "set-var(txn.share) int(1)\n" in configuration(tmp_path, {"bot": {}}, queue=0)


def test_a_client_is_held_to_the_nodes_of_its_models(tmp_path):
    hosts = nodes() | {"pi5-x": node(9, "large", "2"), "pi5-y": node(8, "huge", "3")}
    clients = {"bot": {"models": ["small", "gpt-4o"]}}
    found = configuration(tmp_path, clients, hosts, aliases={"gpt-4o": "huge"})
    assert "if is_bot !{ var(txn.pool) -m str pool1 pool3 }\n" in found
    (listed,) = [line for line in found.splitlines() if line.endswith("{ method GET } is_bot")]
    names = [one["id"] for one in json.loads(listed.split("'")[1])["data"]]
    assert names == ["small", "huge", "gpt-4o"]


def test_a_node_that_went_back_to_another_model_is_not_opened_to_whom_that_is_closed(tmp_path):
    keys.write(tmp_path, WITH_BOT)
    inventory(tmp_path, nodes(1), {"clients": {"bot": {"models": ["small"]}}})
    held = Held(name="before", sha256="9" * 64, instead_of="1" * 64)
    engine_lock.write(tmp_path, Lock(models={"pi5-a": held}))
    files = plan(tmp_path, clients=WITH_BOT).roles["gateway"].files
    text = next(file.text for file in files if file.path == PLACE.config)
    assert '"code":"model_not_allowed"}}\' if is_bot\n' in text


def test_models_of_one_node_are_allowed_together(tmp_path):
    hosts, _ = several(tmp_path)
    found = configuration(tmp_path, {"bot": {"models": ["one-q8_0", "two-q8_0"]}}, hosts)
    assert "if is_bot !{ var(txn.pool) -m str pool1 }\n" in found


def problems(folder, clients, hosts=None, known=WITH_BOT, **gateway):
    keys.write(folder, known)
    inventory(folder, hosts or nodes(), gateway | {"clients": clients})
    with pytest.raises(InventoryError) as raised:
        fleet.load(folder)
    return [problem.message for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("clients", "said"),
    [
        (
            {"laptob": {}},
            "gw: gateway.clients.laptob: no client laptob is in keys.lock (`bramble key create laptob` "
            "gives it a key); did you mean 'laptop'?",
        ),
        ({"gateway": {}}, "gw: gateway.clients.gateway: gateway is the gateway itself"),
        (
            {"bot": {"models": ["small", "larg"]}},
            'gw: gateway.clients.bot.models[1]: found "larg": no node serves it; did you mean',
        ),
        (
            {"bot": {"models": ["auto"]}},
            'gw: gateway.clients.bot.models[0]: found "auto": no node serves it; known: ',
        ),
        ({"bot": {"models": []}}, "gw: gateway.clients.bot.models: bot may ask for no model"),
    ],
)
def test_a_client_or_a_model_that_there_is_not_is_refused_with_its_place(tmp_path, clients, said):
    hosts = nodes() | {"pi5-x": node(9, "large", "2")}
    (message,) = problems(tmp_path, clients, hosts)
    assert message.startswith(said)


def test_one_of_two_models_of_a_node_cannot_be_allowed_alone(tmp_path):
    hosts, _ = several(tmp_path)
    (message,) = problems(tmp_path, {"bot": {"models": ["one-q8_0"]}}, hosts)
    assert "pi5-a serves two-q8_0 besides, and a request can name both" in message


def test_where_the_keys_cannot_be_read_that_alone_is_told(tmp_path):
    (tmp_path / "keys.lock").write_text("bot: 7\n")
    folder = inventory(tmp_path, nodes(), {"clients": {"bot": {}}})
    assert fleet.load(folder).hosts["gw"].prepared.clients_error


@pytest.mark.parametrize(
    ("clients", "said"),
    [
        ({"Two Words": {}}, "pattern"),
        ({"bot": {"at_once": 0}}, "at_once"),
        ({"bot": {"queue": 0}}, "queue"),
        ({"bot": {"priority": "high"}}, "interactive"),
        ({"bot": {"rate": 1}}, "rate"),
    ],
)
def test_what_no_client_can_have_is_refused(clients, said):
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(SOURCE | {"clients": clients})


def test_a_client_that_is_not_named_needs_no_line(tmp_path):
    keys.write(tmp_path, CLIENTS)
    assert fleet.load(inventory(tmp_path, nodes(), {"clients": {"laptop": {"queue": 2}}}))


def test_nodes_that_clients_can_ask_past_the_gateway_are_told(tmp_path):
    keys.write(tmp_path, WITH_BOT)

    def warned(hosts, **gateway):
        found = plan(inventory(tmp_path, hosts, gateway), clients=WITH_BOT).roles["gateway"]
        return found.warnings()

    only = nodes(2, edge={"allow": ["192.168.1.40"]})
    both = only | {"pi5-x": node(9, edge={"allow": ["192.168.1.40", "192.168.2.0/30"]})}
    assert warned(only, clients={"bot": {}}) == ()
    assert warned(both) == ()
    (said,) = warned(both, clients={"bot": {}})
    assert "the same keys open pi5-x to whole networks: set serving.edge.allow there" in said
