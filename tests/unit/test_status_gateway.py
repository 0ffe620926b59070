"""A gateway's nodes and queues as `bramble status` shows them, and when a gateway is not well."""

import json

import pytest
from click.testing import CliRunner

from bramble import fleet
from bramble.cli import main
from bramble.cli import status as command
from bramble.cli.live import changed
from bramble.outputs import LedPool
from bramble.roles.gateway.wanted import PLACE
from bramble.status import gateway, rows, screen
from bramble.status.drift import Changes
from bramble.status.known import Known
from bramble.status.result import host_status
from bramble.status.said import said
from bramble.status.screen import Screen
from bramble.status.wanted import wanted as wanted_of
from tests.unit import gateways
from tests.unit.status_made import LINE, NOW, line, wanted

POOLS = (
    LedPool("pool1", ("small",), {"pi5-a": 1, "pi5-b": 2}),
    LedPool("pool2", ("large", "huge"), {"pi5-c": 1}),
)
UP = {"busy": 1, "slots": 1, "state": "UP", "check": "L7OK"}
DOWN = {"busy": 0, "slots": 2, "state": "DOWN", "check": "L4CON"}
ALONE_NOT = (
    *("health", "unit", "build", "busy", "waiting"),
    *("tokens_per_s", "prompt_per_s", "resident_mib", "swapped_mib"),
)
"""What a host without a model does not tell."""
TOLD = {
    "gateway": "active",
    "queues": {"pool1": 2, "pool2": 0},
    "nodes": {"pool1/pi5-a": UP, "pool1/pi5-b": UP | {"slots": 2}, "pool2/pi5-c": UP},
    "models": {},
    **dict.fromkeys(ALONE_NOT),
    "ages": {**LINE["ages"], "gateway": 1},
}


def status(alone=True, **changes):
    """The status of a gateway that said this a moment ago; `alone`: on a host of its own."""
    serves = {"server": None, "models": (), "slots": 0} if alone else {}
    own = {} if alone else {name: LINE[name] for name in ("models", *ALONE_NOT)}
    host = wanted("gw", pools=POOLS, queue=32, **serves)
    seen = Known(900.0).heard(said(line(**TOLD | own | changes)), 999.6)
    return host_status(host, seen, Changes(), 1000.0)


def nodes(**changes):
    """Its nodes, of which some are otherwise: pi5_b."""
    return {
        name: changes.get(name.rpartition("/")[2].replace("-", "_"), one)
        for name, one in TOLD["nodes"].items()
    }


def cell(one, name):
    found = rows.cells(one, NOW)[name]
    return found.text, found.tone


def test_a_gateway_alone_on_its_host_has_a_row_that_says_how_busy_it_is():
    found = status()
    assert (found.state, found.why, found.is_well) == ("healthy", "", True)
    assert cell(found, "MODEL") == ("3 of 3 nodes", "")
    assert cell(found, "SLOTS") == ("3/4 +2", "warn")
    for name in ("TOK/S", "MEMORY", "BUILD"):
        assert cell(found, name)[0] == ""


def test_on_a_node_the_row_is_that_of_the_node():
    found = status(alone=False)
    assert (found.state, cell(found, "MODEL")[0], cell(found, "SLOTS")[0]) == (
        "healthy",
        "toy",
        "1/1",
    )
    assert len(found.gateway) == 2


def test_each_node_has_a_row_with_its_slots_and_who_waits_stands_once():
    found = status(nodes=nodes(pi5_b=DOWN))
    assert gateway.rows("gw", found.gateway) == [
        ("gw", "small", "pi5-a", "up", "1/1", "2/32"),
        ("gw", "", "pi5-b", "nothing listens there", "0/2", ""),
        ("gw", "large, huge", "pi5-c", "up", "1/1", "0/32"),
    ]
    assert (found.state, cell(found, "MODEL")) == ("healthy", ("2 of 3 nodes", "warn"))


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        ({"nodes": nodes(pi5_c=DOWN)}, "unwell", "no node is up for large, huge"),
        ({"nodes": nodes(pi5_a=DOWN, pi5_b=UP | {"check": "L7STS"})}, "unwell", "for small"),
        ({"nodes": nodes(pi5_c={**UP, "check": "L6RSP"})}, "unwell", "large"),
        ({"nodes": {}}, "unwell", "no node is up for small, large, huge"),
        ({"nodes": None, "queues": None}, "unwell", "is active, and tells no figures"),
        ({"nodes": None, "gateway": "failed"}, "stopped", "bramble-gateway.service is failed"),
        ({"nodes": None, "gateway": None}, "stopped", "is not known to systemd"),
        ({"ages": LINE["ages"]}, "not told", "what asks it there hangs"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_gateway_that_cannot_serve_is_not_well_and_says_why(changes, state, why, alone):
    found = status(alone, **changes)
    assert (found.state, found.is_well) == (state, False)
    assert why in found.why


def test_a_node_that_is_not_well_itself_says_that_first():
    assert status(alone=False, health="HTTP 503", nodes={}).state == "loading"


def test_what_a_gateway_does_not_tell_is_no_figure():
    found = status(nodes=nodes(pi5_b={"state": "UP", "check": "L7OK"}), queues={"pool1": 1})
    assert cell(found, "SLOTS") == ("?/4", "")
    told = gateway.rows("gw", found.gateway)
    assert (told[1][4], told[2][5]) == ("?/2", "?")
    (node,) = status(nodes=nodes() | {"pool9/x": UP}).gateway[1].nodes
    assert node.host == "pi5-c"


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": {"pool1/pi5-a": {"busy": 1.5}}},
        {"nodes": {"pool1/pi5-a": 1}},
        {"nodes": ["pi5-a"]},
        {"queues": {"pool1": "2"}},
        {"gateway": 7},
    ],
)
def test_a_line_of_another_form_is_not_believed(wrong):
    with pytest.raises(ValueError, match=r".+"):
        said(line(**TOLD | wrong))


def test_what_a_host_writes_moves_no_cursor_and_fills_no_screen():
    bad = {**UP, "check": "\x1b[2J" + "x" * 5000}
    (node, *_) = status(nodes=nodes(pi5_a=bad)).gateway[0].nodes
    assert node.state.startswith("?[2J")
    assert len(node.state) <= 100


def test_the_live_view_has_the_nodes_among_the_details():
    found = status(nodes=nodes(pi5_b=DOWN))
    shown = screen.lines(Screen(host="gw"), [found], 120, 30, NOW)
    text = "\n".join("".join(piece.text for piece in one) for one in shown)
    assert "pi5-a 1/1, pi5-b down, 2 wait, pi5-c 1/1" in text


def test_off_a_terminal_a_node_that_goes_down_is_a_line():
    before = {}
    assert [*changed([status()], before)] == ["gw: healthy"]
    (line,) = changed([status(nodes=nodes(pi5_b=DOWN))], before)
    assert line == "gw: healthy; down: pi5-b nothing listens there"
    assert [*changed([status(nodes=nodes(pi5_b=DOWN, pi5_a=UP | {"busy": 0}))], before)] == []


def test_the_inventory_says_what_a_gateway_is_asked_for(tmp_path):
    hosts = gateways.nodes(2, slots=2) | {"pi5-x": gateways.node(9, "large", "2")}
    host = fleet.load(gateways.inventory(tmp_path, hosts)).hosts["gw"]
    found = wanted_of(host)
    assert found.pools == (
        LedPool("pool1", ("small",), {"pi5-a": 2, "pi5-b": 2}),
        LedPool("pool2", ("large",), {"pi5-x": 1}),
    )
    asked = found.query(once=True)
    assert asked["server"] is None
    assert asked["gateway"] == {
        "unit": PLACE.unit,
        "socket": PLACE.figures,
        "pools": ["pool1", "pool2"],
    }
    node = fleet.load(tmp_path).hosts["pi5-a"]
    assert wanted_of(node).query(once=True)["gateway"] is None


def test_the_command_prints_the_nodes_below_the_hosts(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(gateways.inventory(tmp_path, gateways.nodes())))
    found = status(nodes=nodes(pi5_b=DOWN))
    monkeypatch.setattr(command, "_look", lambda *_: (found,))
    monkeypatch.setattr("bramble.status.streams.Fleet.ask", lambda self: None)
    done = CliRunner().invoke(main, ["status", "gw"])
    assert done.exit_code == 0, done.output
    assert "GATEWAY  MODELS" in done.output
    assert "nothing listens there  0/2" in done.output
    told = json.loads(CliRunner().invoke(main, ["status", "gw", "--json"]).stdout)
    assert told["hosts"][0]["gateway"][0]["nodes"][1]["state"] == "nothing listens there"
