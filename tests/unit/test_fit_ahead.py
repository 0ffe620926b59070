"""Of a model that the lock does not know the header is read before a byte of weights is fetched."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bramble import registry
from bramble.fit import ahead
from bramble.fleet import prepare
from bramble.models import cache, gguf, lock
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.plan import make
from bramble.prepared import Prepared
from bramble.snapshot import FileState
from tests.shapes.models import all_shapes
from tests.unit.good_node import ALONE, PI5, good_look, node_plan, settings
from tests.unit.looks import plain
from tests.unit.remote.scripted_server import serving

SHAPE = all_shapes()["qwen2.5-3b-q8_0"].header()
SIZE = gguf.read(SHAPE).file_bytes
DIMENSIONS = dims_of(geometry(gguf.read(SHAPE)))
PI4 = replace(PI5, kind="pi4", cpu_part="0xd08", cpu_features=frozenset({"asimd"}), memory_mib=1840)
MODEL = {"name": "qwen2.5-3b-q8_0", "sha256": "1" * 64}
ROLE = registry.role("model")


@pytest.fixture
def server():
    """A server of the model, of which it sends the beginning alone."""
    ahead._from_here.cache_clear()
    with serving(b"GGUF") as made:
        made.head = (SHAPE, SIZE)
        yield made


def asked(url, **changes):
    """The settings of a host whose model comes from this address."""
    own = settings()
    sections = {role.name: own[role.name] for role in ALONE}
    return sections | {"model": ROLE.settings(**{**MODEL, "url": url, **changes})}


def bare(url, board=PI4, **files):
    """A look at a node that has no model yet, or these files of it."""
    plan = node_plan(board, model={**MODEL, "url": url})
    look, path = good_look(plan), plan.roles["model"].path
    gone = {path: None, f"{path}.json": None, f"{path}.fit": None}
    return replace(
        look, files={**look.files, **gone, **{f"{path}{k}": v for k, v in files.items()}}
    )


def planned(sections, look, board=PI4, folder=Path("/inventory")):
    """The plan after the header was looked for, and what was said of it."""
    said = []
    prepared = ahead.with_header("pi4", sections, prepare(folder, ()), look, said.append)
    return make("pi4", sections, board, registry.roles_of(sections), prepared), said


@pytest.mark.fault("F19")
def test_a_model_that_does_not_fit_is_refused_with_the_numbers_and_the_nearest(server, tmp_path):
    small = dims_of(geometry(gguf.read(all_shapes()["qwen2.5-3b-q2_k"].header())))
    entry = lock.Locked(
        repo="a/b", revision="1" * 40, file="c.gguf", size_bytes=1, sha256="2" * 64, fit=small
    )
    lock.write(tmp_path, {"qwen2.5-3b:q2_k": entry})
    plan, said = planned(asked(server.url), bare(server.url), folder=tmp_path)
    (why,) = plan.refusals
    answer = plan.roles["serving"].fit.answer
    assert f"the model takes {answer.total_mib} MiB" in why
    most = answer.available_mib - answer.total_mib + answer.weights_mib
    assert f"With this context {most} MiB of its weights would fit" in why
    assert "The nearest quant that fits is qwen2.5-3b:q2_k" in why
    assert said == []
    # Only the beginning was asked for.
    assert (server.heads, server.ranges) == (1, [])


def test_a_model_that_this_computer_keeps_is_read_here(server, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    with cache.place(MODEL["sha256"]).open("wb") as file:
        file.write(SHAPE)
        file.truncate(SIZE)
    plan, said = planned(asked(server.url), bare(server.url))
    assert len(plan.refusals) == 1
    assert said == []
    assert (server.heads, server.ranges) == (0, [])


def test_several_hosts_ask_once(server):
    sections, look = asked(server.url), bare(server.url)
    with ThreadPoolExecutor(4) as pool:
        plans = [pool.submit(planned, sections, look) for _ in range(4)]
    assert all(plan.result()[0].refusals for plan in plans)
    assert server.heads == 1


def test_what_fits_is_noted_beside_the_file_and_never_asked_for_again(server):
    plan, _ = planned(asked(server.url), bare(server.url, PI5), PI5)
    assert plan.refusals == ()
    part = plan.roles["model"]
    *_, fetch, noted = ROLE.steps(part, plan, bare(server.url, PI5))
    assert (fetch.program, noted.program) == ("fetch_model", "write_files")
    (file,) = noted.query["files"]
    assert file["path"] == f"{part.path}.fit"
    ahead._from_here.cache_clear()
    there = {"": FileState("file", 0o644, "root", "root", 9, 7), ".fit": plain(file["text"])}
    again, _ = planned(asked(server.url), bare(server.url, PI5, **there), PI5)
    assert again == plan
    assert ROLE.steps(part, plan, bare(server.url, PI5, **there))[-1].why is None
    assert server.heads == 1


def test_a_context_that_grew_is_refused_by_what_the_node_noted(server):
    sections = asked(server.url)
    text = DIMENSIONS.model_dump_json()
    plan, _ = planned(sections, bare(server.url, **{".fit": plain(text)}))
    assert plan.refusals
    assert server.heads == 0


@pytest.mark.parametrize("text", ["", "{}", "[1]", json.dumps({"arch": "llama"})])
def test_a_damaged_note_is_none(server, text):
    plan, _ = planned(asked(server.url), bare(server.url, **{".fit": plain(text)}))
    assert plan.refusals
    assert server.heads == 1


def test_a_file_that_is_there_is_not_asked_for(server):
    there = {"": FileState("file", 0o644, "root", "root", 9, 7)}
    plan, said = planned(asked(server.url), bare(server.url, **there))
    assert (plan.roles["serving"].fit, said, server.heads) == (None, [], 0)


def test_an_address_that_cannot_be_read_from_here_is_said_and_stops_nothing(server):
    server.head = (b"<!doctype html>\x1b[2J", 100)
    plan, (said,) = planned(asked(server.url), bare(server.url))
    assert plan.refusals == ()
    assert said.startswith("whether the model fits is not known before it is fetched: ")
    assert "\x1b" not in said


def test_a_host_without_the_role_model_asks_nothing():
    sections = {name: part for name, part in settings().items() if name != "model"}
    look, nothing = good_look(node_plan()), Prepared()
    assert ahead.with_header("pi4", sections, nothing, look, pytest.fail) is nothing


def test_a_model_of_the_lock_without_dimensions_is_read_from_its_hub(server, tmp_path):
    entry = lock.Locked(
        repo="a/b", revision="1" * 40, file="c.gguf", size_bytes=SIZE, sha256="1" * 64
    )
    lock.write(tmp_path, {"qwen2.5-3b:q8_0": entry})
    own = {"name": None, "sha256": None, "use": "qwen2.5-3b:q8_0"}
    endpoint = server.url.rpartition("/")[0]
    sections = asked(None, **own, endpoint=endpoint)
    plan, _ = planned(sections, bare(server.url), folder=tmp_path)
    assert plan.refusals
    assert server.heads == 1
