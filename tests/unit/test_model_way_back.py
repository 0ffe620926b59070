"""Which model a host stays at after a rollback, and what it goes back to."""

import json
from dataclasses import replace

import pytest

from bramble.documents.problems import InventoryError
from bramble.fleet import load, prepare
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Held, Lock
from bramble.models import lock
from bramble.plan import Inputs, make
from bramble.prepared import Prepared
from bramble.pyinfra import upgrade
from bramble.roles.model import plan as model
from tests.unit.good_node import PI5, ROLES, good_look, node_plan, settings
from tests.unit.looks import plain

PLAN = node_plan()
GOOD = good_look(PLAN)
INPUTS = Inputs("pi5-a")
NOTE = "/opt/bramble/engine/good.json"
HELD = Held(name="tiny-q4_0", sha256="2" * 64, instead_of="d" * 64)
PATH = f"/var/lib/bramble/models/tiny-q4_0-{'2' * 12}.gguf"
VALUES = {"name": "toy", "url": "https://example.org/toy.gguf", "sha256": "d" * 64}


def chosen(folder, host="pi5-a", **values):
    """The model of a host by this inventory's locks."""
    return settings(model=VALUES | values)["model"].chosen(host, prepare(folder, ()))


def planned(folder):
    """The plan of a host by this inventory's locks."""
    return make("pi5-a", settings(model=VALUES), PI5, ROLES, prepare(folder, ()))


@pytest.fixture
def folder(tmp_path):
    """An inventory in which one host stays at a model."""
    engine_lock.write(tmp_path, Lock(models={"pi5-a": HELD}))
    return tmp_path


def locked(folder):
    entry = lock.Locked(
        repo="a/b", revision="1" * 40, file="c.gguf", size_bytes=7, sha256=HELD.sha256
    )
    lock.write(folder, {"tiny:q4_0": entry})


def seen(history, **files):
    """A look at a node with this history, and these files of models."""
    good = {**json.loads(GOOD.files[NOTE].text), "history": history}
    return replace(GOOD, files={**GOOD.files, NOTE: plain(json.dumps(good)), **files})


def test_a_held_host_stays_at_its_model_and_another_does_not(folder):
    plan = planned(folder)
    assert plan.roles["model"].path == PATH
    assert f"--model {PATH}" in plan.roles["serving"].argv
    assert chosen(folder, "pi5-b").name == "toy"


def test_a_held_model_that_the_lock_has_can_be_fetched_again(folder):
    locked(folder)
    pin = chosen(folder)
    assert (pin.size_bytes, pin.path) == (7, None)
    assert pin.url.endswith(f"/a/b/resolve/{'1' * 40}/c.gguf")


@pytest.mark.parametrize("sha256", ["4" * 64, HELD.sha256])
def test_an_inventory_that_names_another_model_than_then_is_followed(folder, sha256):
    own = chosen(folder, name="third", sha256=sha256)
    assert (own.name, own.url) == ("third", VALUES["url"])


def test_a_plan_says_that_its_host_went_back_and_how_that_ends(folder):
    plan = planned(folder)
    *_, step, _ = model.steps(plan.roles["model"], plan, good_look(plan))
    assert step.why is None
    assert step.note.startswith("pi5-a went back to tiny-q4_0 (engine.lock) and stays there")
    *_, step, _ = model.steps(PLAN.roles["model"], PLAN, GOOD)
    assert step.note is None


def test_a_second_way_back_is_the_inventorys_own_model_by_its_own_address(folder):
    lock = Lock(models={"pi5-a": HELD})
    own = HELD.model_copy(update={"sha256": "d" * 64})
    section, prepared = settings(model=VALUES)["model"], Prepared().with_model("pi5-a", own)
    assert section.chosen("pi5-a", prepared) == section.own(prepared)
    assert section.chosen("pi5-a", prepared).url == VALUES["url"]
    assert upgrade._with(lock, "pi5-a", own) == Lock()
    assert upgrade._with(Lock(), "pi5-a", HELD) == lock


def test_a_held_model_that_is_gone_is_refused_with_what_to_do(folder):
    part = planned(folder)
    *_, step, _ = model.steps(part.roles["model"], part, seen([], **{PATH: None}))
    assert step.program == "refuse"
    assert step.query["why"].endswith(
        "name another model for pi5-a, or delete its lines below models in engine.lock"
    )


def test_a_lock_that_is_wrong_is_a_problem_of_the_inventory(tmp_path):
    (tmp_path / engine_lock.FILE).write_text("models: 12\n")
    (tmp_path / "fleet.yml").write_text("hosts: {pi5-a: }\n")
    with pytest.raises(InventoryError, match=r"engine\.lock:1: models: found 12"):
        load(tmp_path)


HISTORY = [
    {"model": "d" * 64, "name": "toy", "argv": "other"},
    {"model": HELD.sha256, "name": HELD.name},
    {"model": "3" * 64, "name": "older"},
]


def test_the_way_back_is_the_last_other_model_that_passed_the_gate():
    look = seen(HISTORY, **{f"{PATH}.json": plain("{}")})
    assert upgrade.model_before(settings(), INPUTS, look) == Prepared().with_model("pi5-a", HELD)


def test_a_way_back_whose_file_is_gone_is_one_while_the_lock_has_it(tmp_path):
    look = seen(HISTORY, **{f"{PATH}.json": None})
    assert "is not there any more" in upgrade.model_before(settings(), INPUTS, look)
    locked(tmp_path)
    found = upgrade.model_before(settings(), Inputs("pi5-a", prepared=prepare(tmp_path, ())), look)
    assert found.engine.models == {"pi5-a": HELD}


@pytest.mark.parametrize(
    "history", [None, [], [HISTORY[0]], [{"model": HELD.sha256, "name": None}]]
)
def test_without_a_predecessor_there_is_nothing_to_go_back_to(history):
    found = upgrade.model_before(settings(), INPUTS, seen(history))
    assert "no other model passed the gate here" in found


def test_a_host_that_does_not_serve_has_none():
    sections = {name: part for name, part in settings().items() if name != "serving"}
    assert "does not get the role serving" in upgrade.model_before(sections, INPUTS, GOOD)
