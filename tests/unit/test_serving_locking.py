"""Weights that are to stay in memory: the command line, the unit, the proof, and what is refused."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bramble.fit.memory import Request
from bramble.fit.verdict import Room, fit
from bramble.models import gguf
from bramble.models.geometry import geometry
from bramble.roles.serving.checks import unit_is_loaded_as_written
from bramble.roles.serving.memory_checks import memory_is_locked_as_planned
from bramble.roles.serving.settings import Settings
from tests.shapes.models import all_shapes
from tests.unit.good_node import node_plan
from tests.unit.roles.serving.faults import DEMO, LOCKED, LOCKED_LOOK, TINY
from tests.unit.roles.serving.good import UNIT, with_process, with_unit
from tests.unit.spoiled import GOOD, Node

SERVING = LOCKED.roles["serving"]
UNLOCKED = node_plan(model=DEMO).roles["serving"]


def test_weights_are_locked_in_the_file_and_not_copied():
    assert [w for w in SERVING.argv if w not in UNLOCKED.argv] == [
        "--load-mode mmap+mlock",
        "--no-repack",
    ]
    assert [w for w in UNLOCKED.argv if w not in SERVING.argv] == ["--load-mode mmap"]


def test_the_unit_lets_the_process_lock_them_and_no_other_unit_does():
    assert "\nLimitMEMLOCK=infinity\n" in SERVING.unit_text
    assert "LimitMEMLOCK" not in UNLOCKED.unit_text


def test_a_limit_that_systemd_does_not_have_is_found():
    unit = LOCKED_LOOK.unit(UNIT)
    look = with_unit(LOCKED_LOOK, properties={**unit.properties, "LimitMEMLOCK": "8388608"})
    assert unit_is_loaded_as_written(SERVING, Node(LOCKED_LOOK, plan=LOCKED)).status == "pass"
    found = unit_is_loaded_as_written(SERVING, Node(look, plan=LOCKED))
    assert (found.status, found.got) == ("fail", "LimitMEMLOCK is 8388608, planned infinity")


def test_as_much_must_be_locked_as_the_weights_take():
    found = memory_is_locked_as_planned(SERVING, Node(LOCKED_LOOK, plan=LOCKED))
    assert found.status == "pass"
    # The demo model's weights in KiB, of which llama-server locks 2732 with what stands before them.
    assert found.want == "at least 2729 KiB locked"


def told(status):
    look = with_process(LOCKED_LOOK, status=status)
    return memory_is_locked_as_planned(SERVING, Node(look, plan=LOCKED))


@pytest.mark.parametrize("said", [None, "", "many kB"])
def test_a_kernel_that_does_not_tell_proves_nothing(said):
    status = {key: v for key, v in LOCKED_LOOK.process(UNIT).status.items() if key != "VmLck"}
    found = told(status if said is None else {**status, "VmLck": said})
    assert found.status == "unknown"
    assert "VmLck" in found.got


def test_a_model_of_unknown_size_proves_nothing_and_is_refused():
    plan = node_plan(serving={"lock_weights": True})
    found = memory_is_locked_as_planned(plan.roles["serving"], Node(GOOD, plan=plan))
    assert (found.status, found.got) == ("unknown", "the size of the weights is not known")
    (why,) = plan.refusals
    assert "may not fit, and weights that cannot be dropped" in why


@pytest.mark.parametrize("policy", ["refuse", "warn"])
def test_a_model_that_does_not_fit_is_never_locked(policy):
    plan = node_plan(TINY, model={**DEMO, "fit": policy}, serving={"lock_weights": True})
    assert any("serving.lock_weights: demo does not fit" in why for why in plan.refusals)


def test_weights_cannot_both_stay_and_be_given_up():
    with pytest.raises(ValidationError, match="set one of the two"):
        Settings(lock_weights=True, idle_unload_s=60)
    assert Settings(idle_unload_s=60).idle_unload_s == 60


def test_a_model_that_fits_is_not_refused():
    assert LOCKED.refusals == ()


def test_what_is_not_copied_is_not_counted_twice():
    shape = all_shapes()["qwen2.5-0.5b-q4_k_m"]
    model = geometry(gguf.read(shape.header()))
    assert model.weights.twice_bytes > 0
    request = Request(ctx=2048)
    needed = fit(model, Room(8000), request).total_mib
    room = next(r for r in map(Room, range(needed, 8000)) if fits_tightly(model, r, request))
    assert fit(model, room, replace(request, locked=True)).verdict == "yes"


def fits_tightly(model, room, request):
    """Whether it fits tightly only because of what is there twice."""
    return (
        fit(model, room, request).verdict == "tight"
        and fit(model, replace(room, repacks=False), request).verdict == "yes"
    )


@pytest.mark.parametrize("entry", ["--repack", "-nr"])
def test_an_argument_that_undoes_it_is_refused(entry):
    changes = {"lock_weights": True, "extra_args": (entry,)}
    sections = {"serving": Settings(**changes)}
    (why,) = sections["serving"].faults(sections, "pi5-a", None)
    assert "would undo serving.lock_weights" in str(why)
    alone = {"serving": Settings(extra_args=(entry,))}
    assert list(alone["serving"].faults(alone, "pi5-a", None)) == []
