"""How many lines of the service the journal takes."""

import pytest

from bramble.node.sandbox import directives
from bramble.roles.serving.settings import Settings
from tests.unit.good_node import node_plan


@pytest.mark.parametrize(
    ("changes", "interval", "burst"),
    [({}, "30", "1000"), ({"interval_s": 60, "burst": 5000}, "60", "5000")],
)
def test_both_units_are_limited_as_set(changes, interval, burst):
    serving = node_plan(serving={"expose": "lan", "log": changes}).roles["serving"]
    for text in (serving.unit_text, serving.edge.unit_text):
        found = directives(text)
        assert (found["LogRateLimitIntervalSec"], found["LogRateLimitBurst"]) == (interval, burst)


@pytest.mark.parametrize("changes", [{"interval_s": 0}, {"burst": 0}, {"burst": 99}])
def test_a_limit_cannot_be_taken_away(changes):
    with pytest.raises(ValueError, match="greater than or equal"):
        Settings.model_validate({"log": changes})


def test_another_limit_is_another_plan():
    first, second = (
        node_plan(serving={"expose": "lan", "log": {"burst": burst}}).roles["serving"]
        for burst in (1000, 2000)
    )
    assert first.plan_id != second.plan_id
    assert first.edge.plan_id != second.edge.plan_id
