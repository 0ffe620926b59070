"""The gateway as it is planned: nodes, names and slots of an inventory, its key, and its steps."""

import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from bramble import fleet, registry
from bramble.access import authority, keys
from bramble.cli import main
from bramble.documents.problems import InventoryError
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Held, Lock
from bramble.node import sandbox
from bramble.plan import look_at
from bramble.roles.gateway.settings import Settings
from bramble.roles.gateway.wanted import ASKING, LEFT, MODELS, NODE_KEY, PLACE, STATES
from bramble.snapshot import Output, Snapshot, Unknown
from bramble.starter import needed
from bramble.testing.roles import unit
from tests.unit import gateways
from tests.unit.gateways import CLIENTS, GATEWAY, KEY, SOURCE, inventory, node, nodes, plan
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import WHY, plain, together, with_command, with_file, with_unit_named
from tests.unit.roles.gateway import good

ROLE = registry.role("gateway")
GOOD = node_plan()
WRITE, BEGIN = "Write what asks the nodes", "Have the nodes asked for a known answer"
RUN, SECRET = PLACE.run, "See that the gateway has the key that its nodes know"


def planned(folder, hosts=None, gateway=None, **how):
    """The role's part of the plan of a gateway before these nodes."""
    return plan(inventory(folder, hosts or nodes(), gateway), **how).roles["gateway"]


def text(found, path=PLACE.config):
    return next(file.text for file in found.files if file.path == path)


def due(plan, look):
    """What a deploy of the role would do, by its steps' names."""
    steps = ROLE.steps(plan.roles["gateway"], plan, look)
    return {step.name: step for step in steps if step.why}


# What the inventory says


def test_each_node_is_a_server_with_its_address_port_and_slots(tmp_path):
    hosts = nodes(2, slots=2) | {"pi5-x": node(9, "large", "2", slots=4, edge={"port": 9000})}
    hosts["pi5-b"]["serving"]["edge"] = {"address": "fd00::42"}
    found = text(planned(tmp_path, hosts))
    assert "    server pi5-a 192.168.1.41:8081 maxconn 2\n" in found
    assert "    server pi5-b [fd00::42]:8081 maxconn 2\n" in found
    assert "    server pi5-x 192.168.1.49:9000 maxconn 4\n" in found


def test_a_router_of_several_models_has_the_slots_of_those_that_may_be_loaded(tmp_path):
    (pool,) = several(tmp_path, models_at_once=3, slots=2)[1]
    assert [one.slots for one in pool.servers] == [4]
    assert pool.models == ("one-q8_0", "two-q8_0")


def several(folder, **serving):
    """A node with two models of models.lock, and the pools of its gateway."""
    names = ("one", "two")
    lines = {
        f"{name}:q8_0": {
            "repo": "a/b",
            "revision": "0" * 40,
            "file": f"{name}.gguf",
            "size_bytes": 1,
            "sha256": str(at) * 64,
        }
        for at, name in enumerate(names)
    }
    (folder / "models.lock").write_text(json.dumps({"models": lines}))
    host = {
        "ssh": {"address": "192.168.1.41"},
        "model": {"use": "one:q8_0", "also": ["two:q8_0"]},
        "serving": {"expose": "lan", **serving},
    }
    hosts = {"pi5-a": host}
    return hosts, planned(folder, hosts).pools


def test_what_the_same_nodes_serve_is_one_pool_and_what_others_serve_another(tmp_path):
    found = planned(tmp_path, nodes() | {"pi5-x": node(9, "large", "2")})
    assert [
        (one.name, one.models, [server.host for server in one.servers]) for one in found.pools
    ] == [
        ("pool1", ("small",), ["pi5-a", "pi5-b"]),
        ("pool2", ("large",), ["pi5-x"]),
    ]
    assert [line for line in text(found, MODELS).splitlines()[1:]] == ["small pool1", "large pool2"]
    assert "use_backend pool2 if { var(txn.pool) -m str pool2 }" in text(found)


def test_a_local_host_is_no_node_unless_it_is_named(tmp_path):
    found = planned(tmp_path, nodes() | {"pi5-l": node(7, expose="local")})
    assert found.hosts == ("pi5-a", "pi5-b")


def test_nodes_that_are_named_are_all_in_their_order(tmp_path):
    assert planned(tmp_path, nodes(3), {"nodes": ["pi5-c", "pi5-a"]}).hosts == ("pi5-c", "pi5-a")


def test_a_node_of_tls_is_verified_by_the_fleets_authority_and_its_own_name(tmp_path):
    found = planned(tmp_path, {"pi5-a": node(1, expose="tls", edge={"name": "llm.home.arpa"})})
    assert "8443 maxconn 1 ssl verify required ca-file ca.crt verifyhost pi5-a\n" in text(found)
    assert text(found, PLACE.authority) == "ca"
    assert not any(file.path == PLACE.certificate for file in found.files)
    (refused,) = planned(tmp_path, {"pi5-a": node(1, expose="tls")}, authority=None).refusals()
    assert "no tls/ca.crt" in refused


def test_names_that_may_be_asked_for_are_models_aliases_and_the_default(tmp_path):
    found = planned(tmp_path, gateway={"aliases": {"gpt-4o": "small"}, "default_model": "small"})
    assert text(found, MODELS).splitlines()[1:] == ["small pool1", "gpt-4o pool1", "auto pool1"]
    listed = re.search(r"string '(\{\"object\":\"list\".*?)' if", text(found))[1]
    assert [one["id"] for one in json.loads(listed)["data"]] == ["small", "gpt-4o"]


def test_a_health_check_asks_for_the_planned_models_with_the_gateways_key(tmp_path):
    found = text(planned(tmp_path))
    assert "http-check send meth GET uri /v1/models hdr Authorization" in found
    assert """http-check expect string '"id":"small"'""" in found


def test_the_configuration_follows_the_settings(tmp_path):
    wanted = {"queue": 7, "queue_s": 33, "at_once": 5, "body_bytes": 5000, "expose": "tls"}
    found = text(planned(tmp_path, gateway=wanted | {"allow": ["192.168.1.0/24"]}))
    assert "{ queue(pool1) ge 7 }" in found
    assert "timeout queue 33s" in found
    assert "{ sc_conn_cur(0,clients) gt 5 }" in found
    assert "gt 5000 }" in found
    assert "bind [::]:8444 v4v6 tcp-ut 20s ssl crt edge.pem" in found
    assert "acl near src 127.0.0.0/8 ::1/128 192.168.1.0/24\n" in found


def test_the_kernel_lets_clients_and_nodes_through_alone(tmp_path):
    hosts = {"pi5-a": node(1), "pi5-b": node(2)}
    hosts["pi5-b"]["ssh"]["address"] = "203.0.113.7"
    found = text(planned(tmp_path, hosts), PLACE.unit_file)
    allowed = sandbox.directives(found)["IPAddressAllow"].split()
    assert allowed[:3] == ["127.0.0.0/8", "::1/128", "10.0.0.0/8"]
    assert allowed[-1] == "203.0.113.7/32"
    assert "192.168.1.41/32" not in allowed


def test_the_unit_is_confined_as_the_way_in_of_a_node_is(tmp_path):
    own = sandbox.directives(text(planned(tmp_path), PLACE.unit_file))
    edge = sandbox.directives(GOOD.roles["serving"].edge.unit_text)
    differing = {name for name in own.keys() | edge.keys() if own.get(name) != edge.get(name)}
    assert differing == {
        *("Description", "ExecReload", "ExecStart", "ExecStartPre"),
        *("MemoryMax", "OOMScoreAdjust", "RuntimeDirectory", "StateDirectory"),
        "StateDirectoryMode",
    }


# Its key


def test_its_own_key_is_in_one_file_for_the_service_alone_and_opens_not_the_gateway(tmp_path):
    whole = plan(inventory(tmp_path, nodes()))
    found = whole.roles["gateway"]
    (file,) = [file for file in found.files if KEY in file.text]
    assert (file.path, file.mode, file.owner, file.group) == (NODE_KEY, 0o640, "root", "haproxy")
    assert file.secret
    assert text(found, PLACE.keys).splitlines()[1:] == [
        f"{CLIENTS['laptop'].key.sha256} laptop",
    ]
    steps = ROLE.steps(found, whole, Snapshot())
    assert KEY not in repr((whole, steps))
    assert not any(KEY in diff.unified for step in steps for diff in step.diffs)
    query = look_at(GATEWAY, fleet.load(tmp_path).hosts[GATEWAY].settings, (ROLE,))
    assert {NODE_KEY, PLACE.certificate} <= {*query["secret"]}


def test_another_run_without_the_key_plans_the_same_and_keeps_the_gateways(tmp_path):
    folder = inventory(tmp_path, nodes())
    given, without = (plan(folder, key=key) for key in (KEY, None))
    look = good_look_of(given)
    assert due(without, look) == {}
    (warning,) = without.roles["gateway"].warnings()
    assert "the variable is not set" in warning
    changed = plan(inventory(tmp_path, nodes(3)), key=None)
    step = due(changed, look)[RUN]
    assert step.query["kept"] == [NODE_KEY]
    assert NODE_KEY not in [one["path"] for one in step.query["files"]]


def good_look_of(found):
    """What a gateway alone on its host shows."""
    from tests.unit.roles.serving.good import EdgeUnit, way_in

    allowed = tuple(
        sandbox.directives(found.roles["gateway"].edge.unit_text)["IPAddressAllow"].split()
    )
    edge = found.roles["gateway"].edge
    own = way_in(GOOD, edge, (4901, 4902), good.EVER, EdgeUnit(768, 100, allowed))
    look = together([own, good.asking(found.roles["gateway"])])
    return replace(look, packages=dict.fromkeys(("curl", "haproxy", "openssl"), "1"))


def test_without_a_key_of_its_own_a_gateway_is_not_begun(tmp_path):
    found = plan(inventory(tmp_path, nodes()), key=None)
    steps = due(found, with_file(good_look_of(found), NODE_KEY, None))
    assert next(iter(steps)) == SECRET
    assert steps[SECRET].program == "refuse"
    assert "gateway.secrets.node_key: the variable is not set" in steps[SECRET].why


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"key": "another-key-0123456789abcdefghijklmnop"}, "bramble key rotate gateway"),
        ({"clients": {"laptop": CLIENTS["laptop"]}}, "bramble key create gateway"),
        ({"clients": {}}, "no client has a key"),
    ],
)
def test_a_key_that_no_node_knows_is_refused_and_not_shown(tmp_path, how, said):
    refusals = planned(tmp_path, **how).refusals()
    assert any(said in why for why in refusals)
    assert not any("another-key" in why for why in refusals)


def test_a_rotated_key_is_taken_up_without_a_restart(tmp_path):
    folder = inventory(tmp_path, nodes())
    before, new = plan(folder), keys.PREFIX + "the-next-of-a-test-0123456789abcdefgh"
    own = CLIENTS["gateway"]
    rotated = own.model_copy(update={"key": keys.kept(new, gateways.DAY), "before": own.key})
    after = plan(folder, key=new, clients={**CLIENTS, "gateway": rotated})
    step = due(after, good_look_of(before))[RUN]
    assert set(step.writes) == {PLACE.config, NODE_KEY}
    assert not step.query["restart"]


# What a deploy does


def test_a_gateway_as_planned_has_nothing_left_to_do():
    assert due(GOOD, good_look(GOOD)) == {}


def test_a_first_one_writes_every_file_and_starts_the_unit():
    none = unit("", "inactive", load="not-found")
    units = dict.fromkeys((good.UNIT, good.ASK, good.TIMER), none)
    nothing = Snapshot(files=dict.fromkeys((*good.EVER, *ASKING)), packages={}, units=units)
    steps = due(GOOD, nothing)
    # HAProxy's unit names one of the programs, and has to run before a node can be asked.
    assert [*steps] == [WRITE, "Leave Debian's HAProxy off", RUN, BEGIN]
    assert set(steps[WRITE].writes) == set(ASKING)
    assert set(steps[RUN].writes) == set(good.EVER)
    assert steps[RUN].program == "serve_edge"
    assert steps[RUN].query["restart"]


def test_another_node_is_taken_up_without_a_restart(tmp_path):
    before = plan(inventory(tmp_path, nodes(2)))
    after = plan(inventory(tmp_path, nodes(3)))
    step = due(after, good_look_of(before))[RUN]
    assert set(step.writes) == {PLACE.config}
    assert not step.query["restart"]


def test_in_clear_text_again_no_private_key_stays(tmp_path):
    before = plan(inventory(tmp_path, nodes(), {"expose": "tls"}))
    after = plan(inventory(tmp_path, nodes(), {"expose": "lan"}))
    found = due(after, good_look_of(before))
    gone = found["Remove what the gateway has no more"]
    assert set(gone.query["paths"]) == {PLACE.certificate, PLACE.authority}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda look: with_unit_named(look, good.UNIT, active="failed"), "is failed and enabled"),
        (lambda look: with_unit_named(look, good.UNIT, needs_reload=True), "an older unit"),
        (lambda look: with_command(look, asks(), Output(0, "ffffffffffff ok\n200")), "another"),
        (lambda look: with_command(look, asks(), None), "there is no curl"),
        (lambda look: with_command(look, asks(), WHY), WHY.why),
        (lambda look: with_file(look, NODE_KEY, plain("", 0o644)), NODE_KEY),
        (lambda look: replace(look, units=WHY), WHY.why),
    ],
)
def test_what_is_not_as_planned_is_mended_and_told(spoil, why):
    assert why in due(GOOD, spoil(good_look(GOOD)))[RUN].why


def asks():
    return GOOD.roles["gateway"].edge.asks("/health")


def test_a_revert_ends_it_and_leaves_no_file_behind():
    steps = ROLE.revert(GOOD.roles["gateway"], GOOD, good_look(GOOD))
    assert [step.name for step in steps if step.why] == [
        "End the questions to the nodes",
        "Remove what asks the nodes",
        "Forget the questions",
        "End the gateway",
        "Remove the gateway's files",
        "Forget the gateway",
    ]
    removed = {path for step in steps for path in step.query.get("paths", ())}
    noted = {path for path in LEFT if good_look(GOOD).files[path] is not None}
    assert removed == {*good.EVER, *ASKING, *noted}
    gone = good_look(GOOD)
    for name in (good.UNIT, good.TIMER):
        gone = with_unit_named(gone, name, load="not-found", active="inactive")
    reverted = replace(gone, files={**gone.files, **dict.fromkeys(removed)})
    left = ROLE.revert(GOOD.roles["gateway"], GOOD, reverted)
    assert [step.name for step in left if step.why] == []
    blind = ROLE.revert(GOOD.roles["gateway"], GOOD, Snapshot(units=WHY, files=WHY))
    assert all(step.why for step in blind)


def test_its_port_is_fenced_beside_that_of_serving_for_its_own_networks():
    changes = {"allow": ["192.168.7.0/24", "fd00:7::/64"], "port": 9443}
    rules = node_plan(gateway=changes, firewall={"mode": "fence"}).roles["firewall"].files[0].text
    assert "set gateway4 {" in rules
    assert "elements = { 192.168.7.0/24 }" in rules
    assert "tcp dport 9443 ip saddr @gateway4 accept" in rules
    assert "tcp dport 9443 ip6 saddr @gateway6 accept" in rules
    assert "tcp dport 9443 counter reject" in rules
    assert "tcp dport 8443 ip saddr @clients4 accept" in rules


def test_an_audit_knows_who_listens_at_its_port():
    listeners = {one.unit: one.port for one in GOOD.roles["gateway"].listeners()}
    assert listeners == {good.UNIT: 8444}


def test_what_it_tells_of_nodes_is_asked_for_in_every_look():
    query = look_at("pi5-a", {"gateway": good_settings()}, (ROLE,))
    assert {STATES, asks()} <= {*query["commands"]}
    assert {PLACE.unit, "haproxy.service", good.ASK, good.TIMER} == {*query["units"]}


def good_settings():
    return Settings.model_validate(good.SETTINGS, context={"host": "pi5-a"})


# A node that engine.lock holds


def test_a_node_that_went_back_to_another_model_is_led_to_by_what_it_serves(tmp_path):
    folder = inventory(tmp_path, nodes(), {"aliases": {"gpt-4o": "small"}})
    held = Held(name="before", sha256="9" * 64, instead_of="1" * 64)
    engine_lock.write(folder, Lock(models={"pi5-b": held}))
    found = plan(folder).roles["gateway"]
    routes = ["small pool1", "before pool2", "gpt-4o pool1"]
    assert text(found, MODELS).splitlines()[1:] == routes
    (warning,) = found.warnings()
    assert warning.startswith("pi5-b serves before (sha256 999999999999) by engine.lock")


def test_one_that_went_back_to_another_file_of_that_name_is_told_and_stops_no_command(tmp_path):
    folder = inventory(tmp_path, nodes())
    held = Held(name="small", sha256="9" * 64, instead_of="1" * 64)
    engine_lock.write(folder, Lock(models={"pi5-b": held}))
    found = plan(folder).roles["gateway"]
    assert [one.host for one in found.pools[0].servers] == ["pi5-a", "pi5-b"]
    assert "pi5-b serves small" in found.warnings()[0]


# Wrong inventories


WRONG = {
    "a host that is unknown": (nodes(), {"nodes": ["pi5-z"]}, "gateway.nodes[0]", "no such host"),
    "a host twice": (nodes(), {"nodes": ["pi5-a", "pi5-a"]}, "gateway.nodes[1]", "twice"),
    "a node that is local": (
        nodes() | {"pi5-l": node(7, expose="local")},
        {"nodes": ["pi5-a", "pi5-l"]},
        "gateway.nodes[1]",
        "pi5-l lets nobody in (its serving.expose is local)",
    ),
    "the gateway as a node without a model": (
        nodes(),
        {"nodes": [GATEWAY]},
        "gateway.nodes[0]",
        "does not get the role serving",
    ),
    "no node at all": (nodes(expose="local"), {}, "gateway.nodes", "no node is behind the gateway"),
    "none named": (nodes(), {"nodes": []}, "gateway.nodes", "no node is behind the gateway"),
    "two models of one name": (
        {"pi5-a": node(1), "pi5-b": node(2, digit="2")},
        {},
        "gateway.nodes",
        "pi5-a and pi5-b serve different files as small (sha256 111111111111 and 222222222222)",
    ),
    "a node by its name alone": (
        {"pi5-a": node(1) | {"ssh": {"address": "pi5-a.local"}}},
        {},
        "gateway.nodes",
        "pi5-a is known by the name pi5-a.local alone",
    ),
    "more slots than a node gives one client": (
        nodes(1, slots=8),
        {},
        "gateway.nodes",
        "serving.edge.at_once of pi5-a is 8, and the gateway is one client",
    ),
    "an alias of no model": (
        nodes(),
        {"aliases": {"gpt-4o": "smal"}},
        "gateway.aliases.gpt-4o",
        "found \"smal\": no node serves it; did you mean 'small'?",
    ),
    "an alias that shadows a model": (
        nodes() | {"pi5-x": node(9, "large", "2")},
        {"aliases": {"large": "small"}},
        "gateway.aliases.large",
        "that is the name of a model itself",
    ),
    "an alias in the default's place": (
        nodes(),
        {"aliases": {"auto": "small"}},
        "gateway.aliases.auto",
        "auto leads to gateway.default_model",
    ),
    "a default that is no model": (
        nodes(),
        {"default_model": "huge"},
        "gateway.default_model",
        'found "huge": no node serves it; known: small',
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_inventory_is_refused_with_its_place(tmp_path, what):
    hosts, gateway, where, said = WRONG[what]
    (problem,) = problems(inventory(tmp_path, hosts, gateway))
    assert problem.message.startswith(f"gw: {where}: ")
    assert said in problem.message
    # The setting's own line, or the host's where it is not set.
    line = (tmp_path / "fleet.yml").read_text().splitlines()[problem.line - 1]
    last = re.search(r"(\w[\w-]*)(?:\[(\d)\])?$", where)
    named = gateway.get("nodes") or ()
    wanted = named[int(last[2])] if last[2] else last[1] if last[1] in str(gateway) else "gw"
    assert f'"{wanted}"' in line


def problems(folder):
    with pytest.raises(InventoryError) as raised:
        fleet.load(folder)
    return raised.value.problems


def both(gateway, **sections):
    """A gateway on a node that it has."""
    return {
        "pi5-a": {
            **node(1),
            "node": {"roles": ["base", "engine", "model", "serving", "gateway", "monitoring"]},
            "gateway": SOURCE | gateway,
            **sections,
        }
    }


@pytest.mark.parametrize(
    ("gateway", "sections", "said"),
    [
        ({"port": 8081}, {}, "pi5-a is one of its nodes and is met at port 8081 as well"),
        ({"port": 8080}, {}, "serving.port is 8080 too"),
        ({"port": 9100}, {}, "monitoring.port is 9100 too"),
        ({"port": 8081, "nodes": ["pi5-b"]}, {}, "serving.edge.port is 8081 too"),
        (
            {"port": 2222},
            {"ssh": {"address": "192.168.1.41", "port": 2222}},
            "ssh.port is 2222 too",
        ),
    ],
)
def test_a_port_that_something_else_of_ours_has_is_refused(tmp_path, gateway, sections, said):
    hosts = both(gateway, **sections) | {"pi5-b": node(2)}
    (tmp_path / "fleet.yml").write_text(json.dumps({"hosts": hosts}, indent=1))
    (problem,) = problems(tmp_path)
    assert f"gateway.port: {said}" in problem.message
    assert (
        f'"port": {gateway["port"]}'
        in (tmp_path / "fleet.yml").read_text().splitlines()[problem.line - 1]
    )


def test_another_entry_of_the_gateways_own_machine_is_a_loop_too(tmp_path):
    hosts = nodes(1)
    hosts["pi5-a"]["ssh"] = {"address": "192.168.1.40", "port": 2200}
    (problem,) = problems(inventory(tmp_path, hosts, {"port": 8081}))
    assert "the gateway would ask itself" in problem.message


def test_a_gateway_on_one_of_its_nodes_has_a_port_of_its_own(tmp_path):
    hosts = both({}) | {"pi5-b": node(2)}
    (tmp_path / "fleet.yml").write_text(json.dumps({"hosts": hosts}))
    found = plan(tmp_path, name="pi5-a")
    assert found.roles["gateway"].hosts == ("pi5-a", "pi5-b")
    assert "bind [::]:8082 " in text(found.roles["gateway"])
    assert "bind [::]:8081 " in text(found.roles["serving"], "/etc/bramble/edge/haproxy.cfg")


def test_other_names_of_a_node_with_several_models_are_refused(tmp_path):
    hosts, _ = several(tmp_path)
    inventory(tmp_path, hosts, {"aliases": {"gpt-4o": "one-q8_0"}, "default_model": "two-q8_0"})
    found = [problem.message for problem in problems(tmp_path)]
    assert len(found) == 2
    assert all("pi5-a serves 2 models and answers to their own names alone" in one for one in found)


def test_a_node_in_two_pools_must_bear_what_both_send_it(tmp_path):
    hosts, _ = several(tmp_path)
    hosts["pi5-b"] = {**hosts["pi5-a"], "ssh": {"address": "192.168.1.42"}}
    hosts["pi5-b"] = {**hosts["pi5-b"], "model": {"use": "one:q8_0"}}
    hosts["pi5-a"]["serving"]["edge"] = {"queue": 0, "at_once": 2}
    (tmp_path / "fleet.yml").unlink()
    messages = [problem.message for problem in problems(inventory(tmp_path, hosts))]
    assert any(
        "serving.edge.at_once of pi5-a is 2" in one and "3 or more" in one for one in messages
    )
    assert any("serving.edge.queue of pi5-a is 0" in one and "1 or more" in one for one in messages)


def test_a_host_with_data_alone_finds_the_others_in_the_inventory(tmp_path, monkeypatch):
    """As a deploy has it, which is given one host's plain values."""
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(inventory(tmp_path, nodes())))
    values = fleet.load(tmp_path).hosts
    _, prepared = fleet.of_data(GATEWAY, values[GATEWAY].values)
    assert [*prepared.hosts] == ["pi5-a", "pi5-b", GATEWAY]
    _, alone = fleet.of_data("pi5-a", values["pi5-a"].values)
    assert [*alone.hosts] == ["pi5-a"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"body_bytes": 2_000_000}, "1000000"),
        ({"aliases": {"two words": "small"}}, "pattern"),
        ({"queue_s": 0}, "1"),
        ({"client": "Gate Way"}, "pattern"),
    ],
)
def test_what_haproxy_could_not_do_is_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(SOURCE | values)


def test_a_gateway_without_a_source_of_its_key_is_refused(tmp_path):
    folder = inventory(tmp_path, nodes(), {"secrets": {}})
    (problem,) = problems(folder)
    assert "gateway.secrets.node_key: not set but needed" in problem.message


def test_its_address_for_clients_is_told():
    for values, url in (
        ({}, "http://gw.local:8082"),
        ({"expose": "tls", "name": "llm.home.arpa"}, "https://llm.home.arpa:8444"),
        ({"address": "fd00::1", "port": 9000}, "http://[fd00::1]:9000"),
    ):
        assert Settings.model_validate(SOURCE | values).url("gw.local") == url


def test_nothing_is_known_of_a_node_that_serves_no_locked_model(tmp_path):
    """Why is told of that host."""
    hosts = nodes() | {"pi5-x": node(9) | {"model": {"use": "none:q8_0"}}}
    (problem,) = problems(inventory(tmp_path, hosts))
    assert problem.message.startswith("pi5-x: model: no none:q8_0")


def test_an_unknown_state_of_the_key_is_no_reason_to_refuse(tmp_path):
    found = plan(inventory(tmp_path, nodes()), key=None)
    assert SECRET not in due(found, Snapshot(files=Unknown("why")))


# What commands tell


@pytest.mark.parametrize(
    ("settings", "base", "names"),
    [
        ({}, "http://192.168.1.40:8082/v1", ["small", "large"]),
        (
            {"default_model": "large", "aliases": {"gpt-4o": "small"}, "expose": "tls"},
            "https://192.168.1.40:8444/v1",
            ["large", "small", "gpt-4o"],
        ),
    ],
)
def test_what_a_client_needs_is_printed_of_a_gateway(tmp_path, monkeypatch, settings, base, names):
    hosts = nodes() | {"pi5-x": node(9, "large", "2")}
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(inventory(tmp_path, hosts, settings)))
    run = CliRunner().invoke(main, ["connect", GATEWAY, "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert (found["base_url"], found["model"], found["models"]) == (base, names[0], names)
    assert found["needs_key"]
    words = CliRunner().invoke(main, ["connect", GATEWAY]).stdout
    assert f"Base URL:  {base}\n" in words
    assert "BRAMBLE_API_KEY" in words


def test_its_certificate_is_for_the_name_that_clients_use(tmp_path, monkeypatch):
    folder = inventory(tmp_path, nodes(), {"expose": "tls", "name": "llm.home.arpa"})
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    run = CliRunner().invoke(main, ["tls", "issue", GATEWAY])
    assert run.exit_code == 0, run.output
    names = authority.names_of(folder / "tls" / f"{GATEWAY}.pem")
    assert names == ("llm.home.arpa", "gw", "gw.local", "192.168.1.40")


def test_a_new_inventory_asks_for_no_gateway():
    assert "gateway.secrets" not in needed(registry.sections())
    assert "model.use" in needed(registry.sections())
