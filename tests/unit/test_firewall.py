"""The firewall as it is planned: when there is a table, what is in it, and what a deploy does."""

from dataclasses import replace

import pytest

from bramble.outputs import ServingOutputs
from bramble.plan import Inputs
from bramble.roles.firewall import plan as firewall
from bramble.snapshot import Output
from bramble.system.parse import Socket
from tests.unit.good_node import PI5, good_look, node_plan, settings
from tests.unit.looks import WHY, plain, with_command, with_file, with_unit_named
from tests.unit.roles.firewall.good import LIST, LISTED, NONE, TRIAL, UNIT

DENY = node_plan(firewall={"mode": "deny"})
OFF = node_plan(firewall={"mode": "off"})
LOAD, END = "Load the firewall, on trial", "End the firewall"


def rules(serving=None, **own):
    """The rules of a node without a gateway."""
    served = node_plan(serving=serving or {}).outputs.every(ServingOutputs)
    plan = firewall.plan(settings(firewall=own)["firewall"], PI5, Inputs("pi5-a", served))
    return next((file.text for file in plan.files if file.path == firewall.RULES), None)


def due(plan, look):
    steps = firewall.steps(plan.roles["firewall"], plan, look)
    return {step.name: step for step in steps if step.why}


@pytest.mark.parametrize(
    ("mode", "expose", "there"),
    [
        ("off", "tls", False),
        ("off", "local", False),
        ("fence", "local", False),
        ("fence", "lan", True),
        ("fence", "tls", True),
        ("deny", "local", True),
        ("deny", "lan", True),
    ],
)
def test_there_is_a_table_where_something_is_exposed_or_the_rest_is_dropped(mode, expose, there):
    assert (rules({"expose": expose}, mode=mode) is not None) == there


def test_a_fence_is_about_the_exposed_port_alone():
    allow = ["192.168.1.0/24", "fd00:1::/64", "192.168.7.9"]
    found = rules({"expose": "lan", "edge": {"allow": allow, "port": 9000}}, mode="fence")
    assert "policy accept;" in found
    assert "elements = { 192.168.1.0/24, 192.168.7.9/32 }" in found
    assert "elements = { fd00:1::/64 }" in found
    assert "tcp dport 9000 ip saddr @clients4 accept" in found
    assert "tcp dport 9000 ip6 saddr @clients6 accept" in found
    assert "tcp dport 9000 counter reject" in found
    assert "22" not in found.replace("@clients", "")


def test_a_fence_for_nobody_of_one_family_lets_none_of_it_in():
    found = rules({"expose": "lan", "edge": {"allow": ["10.0.0.0/8"]}}, mode="fence")
    assert "clients6" not in found
    assert "counter reject" in found


def test_deny_drops_what_is_not_named_and_never_ssh():
    found = rules({"expose": "local"}, mode="deny", ssh_ports=[22, 2222], ports=[9100])
    assert "policy drop;" in found
    assert "tcp dport { 22, 2222 } accept" in found
    assert "tcp dport { 9100 } accept" in found
    assert "reject" not in found


def test_only_a_table_of_its_own_is_ever_named():
    for found in (rules({"expose": "tls"}, mode="deny"), rules({"expose": "lan"}, mode="fence")):
        assert "flush" not in found
        words = [line.split()[1:3] for line in found.splitlines() if " table " in f" {line}"]
        assert all(pair == ["inet", "bramble"] for pair in words if pair[0] == "inet")


@pytest.mark.parametrize("plan", [DENY, OFF])
def test_a_node_as_planned_has_nothing_left_to_do(plan):
    assert due(plan, good_look(plan)) == {}


def test_a_first_table_is_loaded_on_trial_and_confirmed_by_a_new_connection():
    (step,) = due(DENY, good_look(OFF)).values()
    assert (step.name, step.program) == (LOAD, "try_firewall")
    assert step.confirm == {**step.query, "confirm": True}
    assert step.query["undo_after_s"] > 30
    assert set(step.writes) == {firewall.RULES, firewall.UNIT_FILE, LISTED}
    assert {one.path for one in step.diffs} == {firewall.RULES, firewall.UNIT_FILE}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda look: with_command(look, LIST, NONE), "has no table"),
        (lambda look: with_command(look, LIST, Output(0, "x")), "not the one that was confirmed"),
        (lambda look: with_command(look, LIST, WHY), WHY.why),
        (lambda look: with_file(look, LISTED, None), "not the one that was confirmed"),
        (lambda look: with_file(look, firewall.RULES, plain("x")), firewall.RULES),
        (lambda look: with_unit_named(look, UNIT, enabled="disabled"), "active and disabled"),
        (lambda look: replace(look, units=WHY), WHY.why),
    ],
)
def test_what_is_not_as_it_was_confirmed_is_loaded_again(spoil, why):
    assert why in due(DENY, spoil(good_look(DENY)))[LOAD].why


def test_a_table_that_would_drop_ssh_is_refused_with_the_port_to_name():
    look = good_look(OFF)
    other = replace(look, sockets=(*look.sockets, Socket("::", 2222, (35,))))
    step = due(DENY, other)[LOAD]
    assert (step.program, step.confirm) == ("refuse", None)
    assert "sshd listens on port 2222, which firewall.ssh_ports does not name" in step.why
    assert due(node_plan(firewall={"mode": "deny", "ssh_ports": [22, 2222]}), other)[LOAD].confirm
    blind = replace(look, sockets=WHY)
    assert "it is not known where sshd listens" in due(DENY, blind)[LOAD].why


def test_a_trial_that_was_cut_off_is_taken_back_first():
    look = with_file(good_look(DENY), TRIAL, plain("table inet bramble\n"))
    (step,) = due(DENY, look).values()
    assert (step.query, step.look_again) == ({"take_back": True}, True)


@pytest.mark.parametrize("how", ["off", "revert"])
def test_no_table_any_more_ends_the_unit_and_removes_its_files(how):
    look = good_look(DENY)
    if how == "off":
        found = due(OFF, look)
    else:
        steps = firewall.revert(DENY.roles["firewall"], DENY, look)
        found = {step.name: step for step in steps if step.why}
    assert found[END].query["stop"] == [UNIT]
    assert set(found["Remove the firewall's files"].query["paths"]) == {
        *(firewall.RULES, firewall.UNIT_FILE, LISTED),
    }
    assert found["Forget the firewall"].query["reload"] is True
