"""Steps that restart what answers, carried out while their node is out of a real HAProxy."""

import contextlib
import io
import os
import shlex
import subprocess
from types import SimpleNamespace

import pytest
from pyinfra.api.exceptions import ConnectError, NoHostError

from bramble import registry, remote
from bramble.pyinfra import rolling
from bramble.steps import Step
from tests.unit import gateways
from tests.unit.good_node import good_look, node_plan
from tests.unit.haproxies import HAPROXY, Gateway, Node, answering, eventually
from tests.unit.looks import with_file, with_unit_named

GOOD = node_plan()
RESTART = Step("Run the service", "it is another", interrupts=True)
REBOOT = Step("Reboot", "it is due", reboot_deadline_s=60)
WRITE = Step("Write files", "they differ")


class Channel:
    """A program of a gateway's host, run here, as a channel of SSH."""

    def __init__(self, line):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(shlex.split(line), **pipes)
        self.closed = False

    def makefile(self, mode):
        return io.TextIOWrapper(self.process.stdout)

    def sendall(self, data):
        os.write(self.process.stdin.fileno(), data)

    def close(self):
        self.closed = True
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()


class Own:
    """A host of a run, of which is told what it does."""

    def __init__(self, name="pi5-a"):
        self.name, self.said = name, []
        there = SimpleNamespace(name=gateways.GATEWAY)
        self.state = SimpleNamespace(inventory=SimpleNamespace(get_host=lambda name: there))

    def log(self, text):
        self.said.append(text)


@pytest.fixture(autouse=True)
def before_both(monkeypatch):
    """The inventory has the gateway before two nodes; no run has met it yet."""
    behind = {gateways.GATEWAY: ("pi5-a", "pi5-b"), "another": ("pi5-z",)}
    monkeypatch.setattr(rolling, "_gateways", lambda folder: behind)
    monkeypatch.setattr(rolling, "_away", {})


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A gateway before two nodes, whose host is this computer."""
    if HAPROXY is None:
        pytest.skip("haproxy is not on this computer")
    nodes = {name: Node() for name in ("pi5-a", "pi5-b")}
    gateway = Gateway(tmp_path, nodes, serving={"expect": "4"})
    channels = []

    def begun(line, **_):
        channels.append(Channel(str(line)))
        return channels[-1]

    monkeypatch.setattr(rolling, "PLAN", str(tmp_path / "questions.json"))
    monkeypatch.setattr(rolling.connection, "privileges", lambda host, as_root: {})
    monkeypatch.setattr(rolling.alone, "beat", lambda channel: None)
    monkeypatch.setattr(rolling, "_connected", lambda host: SimpleNamespace(begun=begun))
    yield gateway, nodes
    assert all(channel.closed for channel in channels)
    gateway.end()
    for one in nodes.values():
        one.end()


@pytest.mark.parametrize("step", [RESTART, REBOOT], ids=["restart", "reboot"])
def test_a_step_that_interrupts_is_carried_out_while_its_node_is_out(made, step):
    gateway, nodes = made
    own, meanwhile = Own(), []

    def work():
        meanwhile.append(answering(gateway))

    assert rolling.around(own, step, work) is None
    assert meanwhile == [{"pi5-b"}]
    assert answering(gateway) == {*nodes}
    assert own.said == ["back in the gateway gw"]


def test_another_step_and_a_node_of_no_gateway_are_left_alone(made):
    own = Own("pi5-q")
    for one, step in ((Own(), WRITE), (own, RESTART)):
        assert rolling.around(one, step, lambda: "it failed") == "it failed"
        assert one.said == []


@pytest.mark.parametrize("failure", ["returned", "raised"])
def test_a_node_whose_gate_failed_stays_out_and_is_told_so(made, failure):
    gateway, _ = made
    own = Own()

    def work():
        if failure == "raised":
            raise OSError("the connection was closed")
        return "rejected"

    with contextlib.suppress(OSError):
        assert rolling.around(own, RESTART, work) == "rejected"
    assert answering(gateway) == {"pi5-b"}
    (said,) = own.said
    assert "it stays out of the gateway gw: it comes back by itself after " in said
    gateway.asked()
    assert gateway.drained() == {"pi5-a": rolling.FAILED}


def test_the_last_node_and_requests_that_last_are_told_and_the_step_is_carried_out(made):
    gateway, nodes = made
    nodes["pi5-b"].end()
    own = Own()
    eventually(lambda: gateway.asked()["pi5-b"] == "away", "it is down")
    assert rolling.around(own, RESTART, lambda: None) is None
    last = "it is the last node for small at the gateway gw, and is not taken out there"
    assert last in own.said[0]
    assert own.said[1] == "back in the gateway gw"


def test_a_gateway_that_has_nothing_of_the_node_is_told_and_stops_nothing(made):
    gateway, _ = made
    gateway.end()
    own = Own()
    assert rolling.around(own, RESTART, lambda: None) is None
    (said,) = own.said
    assert said.startswith("not taken out of the gateway gw: ")


def test_a_gateway_that_cannot_be_reached_is_told_tried_once_and_stops_nothing(monkeypatch):
    tries = []

    class Away:
        name, connected = gateways.GATEWAY, False

        def connect(self, **_):
            tries.append(1)
            raise ConnectError("nobody answers there")

    own = Own()
    own.state.inventory.get_host = lambda name: Away()
    for _ in range(2):
        assert rolling.around(own, RESTART, lambda: None) is None
    why = "the gateway gw was not told (nobody answers there): what clients ask there may fail"
    assert [why in said for said in own.said] == [True, True]
    assert tries == [1]


def test_a_gateway_that_is_no_host_of_the_run_is_told_and_stops_nothing():
    own = Own()

    def get_host(name):
        raise NoHostError(f"No such host: {name}")

    own.state.inventory.get_host = get_host
    assert rolling.around(own, RESTART, lambda: None) is None
    assert "the gateway gw was not told (it is not there)" in own.said[0]


@pytest.mark.parametrize("told", ["", "{", "[]", "7", "{}", '{"state": 7}'])
def test_what_a_gateway_tells_that_cannot_be_read_stops_nothing(monkeypatch, told):
    channels = []

    def begun(line, **_):
        script = shlex.join(["printf", "%s\n", told] if told else ["true"])
        channels.append(Channel(script))
        return channels[-1]

    monkeypatch.setattr(rolling.connection, "privileges", lambda host, as_root: {})
    monkeypatch.setattr(rolling.alone, "beat", lambda channel: None)
    monkeypatch.setattr(rolling, "_connected", lambda host: SimpleNamespace(begun=begun))
    own = Own()
    assert rolling.around(own, RESTART, lambda: None) is None
    assert "the gateway gw was not told (" in own.said[0]
    assert channels[0].closed


def test_the_program_that_is_sent_fits_into_a_command_line():
    """Linux takes 128 KiB for one argument."""
    query = {"plan": rolling.PLAN, "node": "pi5-a", "why": "it is restarted"}
    assert len(remote.command_line("lease_node", query)) < 32_000


def test_each_gateway_of_the_inventory_is_known_with_its_nodes(tmp_path, monkeypatch):
    monkeypatch.undo()
    folder = gateways.inventory(tmp_path, gateways.nodes(2))
    rolling._gateways.cache_clear()
    assert rolling._gateways(folder) == {gateways.GATEWAY: ("pi5-a", "pi5-b")}


def interrupting(look, action="steps"):
    """The steps of serving that keep the model from answering."""
    plan = GOOD.roles["serving"]
    steps = registry.role("serving").carry(action, plan, GOOD, look)
    return [step.program for step in steps if step.why and step.interrupts]


def test_what_restarts_the_model_or_its_way_in_interrupts_and_nothing_else_does():
    look = good_look(GOOD)
    way_in = GOOD.roles["serving"].edge
    assert interrupting(look) == []
    stopped = with_unit_named(look, "llama-server.service", active="failed", sub="failed")
    assert interrupting(stopped) == ["serve_release"]
    assert interrupting(with_file(look, way_in.place.unit_file, None)) == ["serve_edge"]
    assert interrupting(with_file(look, way_in.place.keys, None)) == [], "it is reloaded"
    unproved = with_file(look, "/opt/bramble/engine/good.json", None)
    assert interrupting(unproved) == [], "it goes through its gate as it runs"
    assert interrupting(look, "restart") == ["restart_server"]
