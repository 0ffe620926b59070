"""Whatever a node says of itself: it is planned, checked and told, or refused in words."""

import time
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given

from bramble import registry
from bramble.board import board, refusals
from bramble.checks import run_all
from bramble.plan import make
from bramble.snapshot import MOST_TEXT, Boot, FileState, Output, Unknown
from bramble.steps import as_dict
from tests.faults.fuzz import examples, spoiled
from tests.unit.good_node import ROLES, settings
from tests.unit.spoiled import GOOD, RIGHT_ANSWER, Node

pytestmark = pytest.mark.untrusted
SETTINGS = settings()
CHECKS = tuple(check for role in ROLES for check in role.checks)
PLAIN = "a word and another\n"
# What patterns that may begin anywhere, or end in blanks, take the square of.
TIRING = ("\n", " ", "[", "(1", "1", '"', "a=b\n", "\\", "VL805: ", "include a\n", "/1-1/", "1.1-")


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


@examples(200)
@given(spoiled(GOOD))
def test_a_strange_look_is_planned_and_checked_or_refused(look):
    assert told(look)


def everywhere(text):
    """The good look with this in the place of all texts that a node brings."""
    boot = Boot(text, text, text)
    return replace(
        GOOD,
        boot=boot,
        commands={line: Output(said.code, text) for line, said in GOOD.commands.items()},
        http={url: replace(said, body=text) for url, said in GOOD.http.items()},
        files={
            path: replace(seen, text=text)
            if isinstance(seen, FileState) and seen.text is not None
            else seen
            for path, seen in GOOD.files.items()
        },
    )


@cache
def usual_s():
    """What the same takes with so many words as a person writes them."""
    return cost_s((PLAIN * MOST_TEXT)[:MOST_TEXT])


def cost_s(text):
    began = time.process_time()
    assert told(everywhere(text))
    return time.process_time() - began


@pytest.mark.parametrize("piece", TIRING)
def test_a_long_text_takes_time_in_proportion(piece):
    """A node's run shares its processor with those of the others. By this computer's own measure."""
    assert cost_s((piece * MOST_TEXT)[:MOST_TEXT]) < 20 * usual_s() + 1
