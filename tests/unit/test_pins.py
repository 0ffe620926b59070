"""What commands pinned is shown wherever that is which it takes the place of."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bramble import registry
from bramble.cli import main
from bramble.fleet import load, prepare
from bramble.inventory.headline import headline
from bramble.llama import lock as engine_lock
from bramble.llama import store
from bramble.llama.lock import Held, Lock, ReleasePin, Rolling
from bramble.plan import make
from bramble.prepared import Prepared
from bramble.pyinfra import releases
from bramble.pyinfra.run import PlannedNode, impossible
from bramble.roles.model import plan as model
from bramble.steps import as_dict
from tests.unit.good_node import ALONE, PI5, ROLES, good_look, node_plan, settings

MODEL = {"name": "toy", "url": "https://example.org/toy.gguf", "sha256": "d" * 64}
HELD = Held(name="tiny-q4_0", sha256="2" * 64, instead_of="d" * 64)
PIN = ReleasePin(release="0123456789ab", build_info="b7-0c1e57098")
AT_MODEL = (
    "a stays at model tiny-q4_0 and does not get toy since `bramble model rollback` (engine.lock), "
    "until the inventory names another model than now or `bramble model rollback a` returns"
)
AT_RELEASE = (
    "a stays at release 0123456789ab (b7-0c1e57098) since `bramble rollback` (engine.lock), until "
    "`bramble upgrade a`"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An inventory of two hosts, of which the first went back to another model and release."""
    place = tmp_path / "fleet"
    place.mkdir()
    (place / "fleet.yml").write_text(
        f"hosts: {{a: , b: }}\nsettings:\n  model: {json.dumps(MODEL)}\n"
    )
    engine_lock.write(place, Lock(models={"a": HELD}, hosts={"a": PIN}))
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(place))
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return place


def bramble(*words):
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return done


def test_config_shows_what_is_pinned_beside_what_the_inventory_says(folder):
    lines = bramble("config", "a").stdout.splitlines()
    assert lines[:2] == [AT_RELEASE, AT_MODEL]
    (row,) = [line for line in lines if line.startswith("model.name ")]
    assert row.split()[1:3] == ["toy", "all"]
    assert row.endswith("(fleet/fleet.yml:3), but engine.lock: tiny-q4_0")
    (row,) = [line for line in lines if line.startswith("engine.source.git ")]
    assert row.endswith("default, but engine.lock: release 0123456789ab (b7-0c1e57098)")
    assert "engine.lock" not in bramble("config", "b").stdout


def test_config_for_programs_has_it_too(folder):
    reported = json.loads(bramble("config", "a", "--json").stdout)
    assert reported["pins"] == [AT_RELEASE, AT_MODEL]
    pinned = {row["setting"]: row["pinned"] for row in reported["settings"] if row["pinned"]}
    assert pinned["model.name"] == "tiny-q4_0"


def test_the_lists_of_models_and_releases_show_it(folder):
    assert AT_MODEL in bramble("model", "list").stdout.splitlines()
    assert AT_RELEASE in bramble("engine", "list").stdout.splitlines()
    done = bramble("model", "list", "--json")
    assert json.loads(done.stdout)["models"]
    assert AT_MODEL in done.stderr


def test_the_first_lines_of_a_run_show_it(folder):
    fleet = load(folder)
    assert headline(fleet, ["a", "b"]).splitlines() == [
        f"Inventory {folder}: a, b (2 of 2 hosts)",
        AT_RELEASE,
        AT_MODEL,
    ]
    assert headline(fleet, ["b"]) == f"Inventory {folder}: b (1 of 2 hosts)"


def test_a_pin_that_the_inventory_overtook_is_none(folder):
    changed = (folder / "fleet.yml").read_text().replace("d" * 64, "4" * 64)
    (folder / "fleet.yml").write_text(changed)
    assert AT_MODEL not in bramble("config", "a").stdout


def test_a_commit_of_an_upgrade_is_shown_where_it_is_not_the_inventorys(folder):
    engine_lock.write(folder, Lock(rolling=Rolling(commit="1" * 40, hosts=("b",))))
    assert f"b gets commit {'1' * 40} by `bramble upgrade --to`" in bramble("config", "b").stdout
    assert "engine.lock" not in bramble("config", "a").stdout


def test_a_plan_says_it_and_refuses_a_model_that_is_nowhere(folder):
    prepared = prepare(folder, ()).with_pin("a", None)
    plan = make("a", settings(model=MODEL), PI5, ALONE, prepared)
    assert plan.pins == (AT_MODEL,)
    look = good_look(plan)
    there = {"model": model.steps(plan.roles["model"], plan, look)}
    assert as_dict(plan, there)["refused"] == []
    path = plan.roles["model"].path
    gone = replace(look, files={**look.files, path: None})
    lacking = {"model": model.steps(plan.roles["model"], plan, gone)}
    (why,) = as_dict(plan, lacking)["refused"]
    assert why.startswith("a went back to tiny-q4_0, which is neither whole there (")
    # A deploy knows it before it changes anything.
    assert impossible(PlannedNode(plan, gone, {})) == (why,)
    assert impossible(PlannedNode(plan, look, {})) == ()


def test_a_pinned_release_that_nobody_has_is_lacking_before_it_is_tried(folder):
    plan = make("a", settings(), PI5, ROLES, Prepared().with_pin("a", PIN))
    engine = registry.role("engine")
    own = node_plan()
    _given, *_user, step, _switch, _old = engine.steps(plan.roles["engine"], plan, good_look(own))
    (why,) = impossible(PlannedNode(plan, good_look(own), {}))
    assert releases.lacking(step) == why
    assert "run `bramble upgrade a`, which drops the pin" in why
    _given, *_user, step, _switch, _old = engine.steps(own.roles["engine"], own, good_look(own))
    assert releases.lacking(step) is None
