"""Every line of the service's unit is held against what systemd has, and nothing is left out unsaid."""

from dataclasses import replace

import pytest

from bramble.node import sandbox
from bramble.roles.serving.edge import PLACE
from bramble.roles.serving.wanted import UNIT_FILE
from tests.unit.good_node import good_look, node_plan
from tests.unit.roles.serving.good import UNIT

PLAN = node_plan()
SERVING = PLAN.roles["serving"]
LOCKED = node_plan(serving={"lock_weights": True})
UNITS = {
    UNIT: (UNIT_FILE, SERVING.unit_text),
    PLACE.unit: (PLACE.unit_file, SERVING.edge.unit_text),
}
SETTINGS = [(unit, name) for unit in UNITS for name in sorted(sandbox.directives(UNITS[unit][1]))]


def test_every_setting_of_the_units_is_asked_for_or_told_otherwise():
    gateway = PLAN.roles["gateway"].edge.unit_text
    texts = (*(text for _, text in UNITS.values()), LOCKED.roles["serving"].unit_text, gateway)
    settings = {name for text in texts for name in sandbox.directives(text)}
    names = {sandbox.RENAMED.get(name, name) for name in settings}
    assert names <= {*sandbox.PROPERTIES, *sandbox.UNTOLD}
    # What no unit has any more need not be asked for.
    assert settings >= sandbox.UNTOLD


def test_the_units_that_are_looked_for_are_loaded_as_written():
    for name, (file, text) in UNITS.items():
        assert sandbox.loaded_otherwise(file, text, good_look(PLAN).unit(name)) == ()


@pytest.mark.parametrize(("of", "name"), SETTINGS)
def test_a_setting_that_systemd_has_otherwise_is_found_by_its_name(of, name):
    """As systemd 252 reported these units on a virtual Pi, but for one setting."""
    file, text = UNITS[of]
    unit = good_look(PLAN).unit(of)
    reported = sandbox.RENAMED.get(name, name)
    spoiled = replace(
        unit, properties={**unit.properties, reported: "7min" if name != reported else "other"}
    )
    found = sandbox.loaded_otherwise(file, text, spoiled)
    if name in sandbox.UNTOLD:
        assert found == ()
    elif name == sandbox.CALLS:
        assert found == ()  # a name of a call more or less is no other list
    else:
        assert [words.partition(" is ")[0] for words in found] == [name]


@pytest.mark.parametrize("reported", ["", "~mount", "read write mount"])
def test_a_list_of_calls_must_be_one_of_allowed_ones_without_those_of_root(reported):
    unit = good_look(PLAN).unit(UNIT)
    spoiled = replace(unit, properties={**unit.properties, sandbox.CALLS: reported})
    (found,) = sandbox.loaded_otherwise(UNIT_FILE, SERVING.unit_text, spoiled)
    assert found.startswith("SystemCallFilter allows")


def test_a_span_is_compared_as_a_time():
    unit = good_look(PLAN).unit(UNIT)
    same = replace(unit, properties={**unit.properties, "StartLimitIntervalUSec": "600s"})
    assert sandbox.loaded_otherwise(UNIT_FILE, SERVING.unit_text, same) == ()
