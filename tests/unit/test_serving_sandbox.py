"""Every line of the service's unit is held against what systemd has, and nothing is left out unsaid."""

from dataclasses import replace

import pytest

from bramble.roles.serving import sandbox
from bramble.roles.serving.wanted import UNIT_FILE
from tests.unit.good_node import good_look, node_plan
from tests.unit.roles.serving.good import UNIT

PLANS = {host: node_plan(serving={"host": host}) for host in ("127.0.0.1", "0.0.0.0")}
SETTINGS = sorted(sandbox.directives(PLANS["127.0.0.1"].roles["serving"].unit_text))


@pytest.mark.parametrize("host", PLANS)
def test_every_setting_of_the_unit_is_asked_for_or_told_otherwise(host):
    text = PLANS[host].roles["serving"].unit_text
    names = {sandbox.RENAMED.get(name, name) for name in sandbox.directives(text)}
    assert names <= {*sandbox.PROPERTIES, *sandbox.UNTOLD}
    # What no unit has any more need not be asked for.
    assert sandbox.directives(text).keys() >= sandbox.UNTOLD


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_systemd_has_otherwise_is_found_by_its_name(name):
    """As systemd 252 reported this unit on a virtual Pi, but for one setting."""
    text = PLANS["127.0.0.1"].roles["serving"].unit_text
    unit = good_look(PLANS["127.0.0.1"]).unit(UNIT)
    reported = sandbox.RENAMED.get(name, name)
    spoiled = replace(
        unit, properties={**unit.properties, reported: "7min" if name != reported else "other"}
    )
    found = sandbox.loaded_otherwise(UNIT_FILE, text, spoiled)
    if name in sandbox.UNTOLD:
        assert found == ()
    elif name == sandbox.CALLS:
        assert found == ()  # a name of a call more or less is no other list
    else:
        assert [words.partition(" is ")[0] for words in found] == [name]


@pytest.mark.parametrize("reported", ["", "~mount", "read write mount"])
def test_a_list_of_calls_must_be_one_of_allowed_ones_without_those_of_root(reported):
    plan = PLANS["127.0.0.1"]
    unit = good_look(plan).unit(UNIT)
    spoiled = replace(unit, properties={**unit.properties, sandbox.CALLS: reported})
    (found,) = sandbox.loaded_otherwise(UNIT_FILE, plan.roles["serving"].unit_text, spoiled)
    assert found.startswith("SystemCallFilter allows")


def test_a_span_is_compared_as_a_time():
    plan = PLANS["127.0.0.1"]
    unit = good_look(plan).unit(UNIT)
    same = replace(unit, properties={**unit.properties, "StartLimitIntervalUSec": "600s"})
    assert sandbox.loaded_otherwise(UNIT_FILE, plan.roles["serving"].unit_text, same) == ()
