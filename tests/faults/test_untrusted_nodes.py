"""Whatever a node says of itself: it is planned, checked and told, or refused in words."""

import pytest
from hypothesis import given

from bramble import registry
from bramble.board import board, refusals
from bramble.checks import run_all
from bramble.plan import make
from bramble.snapshot import Unknown
from bramble.steps import as_dict
from tests.faults.fuzz import examples, spoiled
from tests.unit.good_node import ROLES, settings
from tests.unit.spoiled import GOOD, RIGHT_ANSWER, Node

pytestmark = pytest.mark.untrusted
SETTINGS = settings()
CHECKS = tuple(check for role in ROLES for check in role.checks)
ACTIONS = ("steps", "revert", "again", "candidate")


def told(look, answer=RIGHT_ANSWER):
    """All that a run tells of a node that shows this look: why it is refused, or its plan and checks."""
    reasons, found = refusals(look), board(look)
    if reasons or isinstance(found, Unknown):
        return [*reasons, found]
    plan = make("pi5-a", SETTINGS, found, ROLES)
    steps = {
        name: registry.role(name).carry("steps", plan.roles[name], plan, look)
        for name in plan.roles
    }
    for name in plan.roles:
        registry.role(name).carry("revert", plan.roles[name], plan, look)
    return [as_dict(plan, steps), run_all(Node(look, answer, plan), CHECKS)]


@examples(400)
@given(spoiled(GOOD))
def test_a_strange_look_is_planned_and_checked_or_refused(look):
    assert told(look)
