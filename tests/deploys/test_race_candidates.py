"""What is raced on a node: plans of the same host that differ in their variant, and one step for all."""

import pytest

from bramble import fleet, registry
from bramble.board import Board
from bramble.documents.problems import InventoryError
from bramble.llama import lock as engine_lock
from bramble.plan import make
from bramble.pyinfra import race

MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}
PI5 = Board(
    model="Raspberry Pi 5 Model B Rev 1.0",
    kind="pi5",
    architecture="arm64",
    codename="bookworm",
    cpu_part="0xd0b",
    cpu_features=frozenset(["asimd", "asimddp"]),
    cores=4,
    memory_mib=8000,
    page_size=16384,
)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A node's plan with these settings, and the settings as pyinfra's inventory has them."""
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))

    def made(roles=None, **engine):
        data = {"ssh": {"address": "10.0.0.5"}, "model": MODEL, "engine": engine}
        data |= {"node": {"roles": roles}} if roles else {}
        settings, prepared = fleet.of_data("pi5-a", data)
        return make("pi5-a", settings, PI5, registry.roles_of(settings), prepared), data

    return made


def releases(found):
    return {name: plan.roles["engine"].release for name, plan in found.items()}


def test_plain_is_always_raced_and_first(planned):
    found = race.candidates(*planned(), ("rpc", "openblas"))
    assert list(found) == ["plain", "rpc", "openblas"]
    assert [plan.roles["engine"].variant for plan in found.values()] == list(found)
    assert len(set(releases(found).values())) == 3


def test_candidates_are_what_deploys_of_these_variants_would_install(planned):
    found = releases(race.candidates(*planned(), ("rpc",)))
    assert found["rpc"] == planned(variant="rpc")[0].roles["engine"].release
    assert found["plain"] == planned()[0].roles["engine"].release


def test_without_names_it_is_what_may_gain_there(planned):
    assert "openblas" in race.candidates(*planned(), ())


@pytest.mark.parametrize(
    ("settings", "variants", "error", "said"),
    [
        ({"recipe": "cross"}, ("openblas",), InventoryError, "node's own OpenBLAS"),
        ({}, ("plain",), LookupError, "no variant but plain"),
        (
            {"roles": ["base", "engine"]},
            ("rpc",),
            LookupError,
            "pi5-a has no model and no serving",
        ),
    ],
)
def test_what_cannot_be_raced_is_told(planned, settings, variants, error, said):
    with pytest.raises(error, match=said):
        race.candidates(*planned(**settings), variants)


def test_the_runs_are_as_the_server_computes(planned):
    step = race.step_of(race.candidates(*planned(), ("rpc",)), 5, 300)
    assert step.detached
    query = step.query
    assert (query["threads"], query["ubatch_tokens"], query["rounds"]) == (4, 128, 5)
    assert query["model"].endswith("/toy-dddddddddddd.gguf")
    assert [entry["variant"] for entry in query["candidates"]] == ["plain", "rpc"]
    assert all("/releases/" in entry["folder"] for entry in query["candidates"])


def test_races_of_other_variants_are_other_races(planned):
    one = race.step_of(race.candidates(*planned(), ("rpc",)), 5, 300)
    other = race.step_of(race.candidates(*planned(), ("openblas",)), 5, 300)
    assert one.query["id"] != other.query["id"]


def test_how_long_a_board_may_cool_is_no_other_race(planned):
    one, other = (race.step_of(race.candidates(*planned(), ("rpc",)), 5, s) for s in (0, 300))
    assert one.query["id"] == other.query["id"]
    assert (one.query["cool_s"], other.query["cool_s"]) == (0, 300)


def test_a_host_that_stays_at_a_release_races_what_it_would_get_without(planned, tmp_path):
    free = releases(race.candidates(*planned(), ("rpc",)))
    pin = engine_lock.ReleasePin(release="a" * 12, build_info="b0-0c1e57098")
    engine_lock.write(tmp_path, engine_lock.Lock(hosts={"pi5-a": pin}))
    plan, data = planned()
    assert plan.roles["engine"].release == "a" * 12
    assert releases(race.candidates(plan, data, ("rpc",))) == free
