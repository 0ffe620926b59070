"""The order of a benchmark on a node, and that no figure goes before it is kept."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import example, given

from bramble import registry
from bramble.bench import gather, result
from bramble.board import Board
from bramble.inventory.load import from_data
from bramble.plan import look_at, make
from bramble.pyinfra import bench, connection
from bramble.snapshot import FileState, Snapshot
from tests.faults.fuzz import examples, mangled

PI5 = Board(
    model="Raspberry Pi 5 Model B Rev 1.0",
    kind="pi5",
    architecture="arm64",
    codename="bookworm",
    cpu_part="0xd0b",
    cpu_features=frozenset(["asimd", "asimddp"]),
    cores=4,
    memory_mib=8063,
    page_size=16384,
)
MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}
GOOD = {"prompt_tps": 15.0, "answer_tps": 6.0}
DEAD = {"problem": "llama-bench ended with SIGILL"}
LEFT = {"id": "this work", "runs": [GOOD, GOOD], "server_swap_mib": 1.0}


@pytest.fixture
def pi5(tmp_path, monkeypatch):
    """A planned node whose programs answer as a test says, and what was asked of it, in order."""
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    data = {"ssh": {"address": "10.0.0.5"}, "model": MODEL}
    settings = from_data("pi5-a", data, registry.sections())
    plan = make("pi5-a", settings, PI5, registry.roles_of(settings))
    query = look_at("pi5-a", settings, registry.roles_of(settings))
    step = bench.step_of(plan, "a" * 12, 2, 300)
    made = SimpleNamespace(
        folder=tmp_path, plan=plan, step=step, asked=[], events=[], followed=(True, "")
    )
    made.left = {"id": step.query["id"], "runs": [GOOD, GOOD], "server_swap_mib": None}
    made.memory = [{"gb_s": 13.0, "threads": 2}, {"gb_s": 14.0, "threads": 4}]
    made.host = SimpleNamespace(name="pi5-a", log=lambda text: made.asked.append(("say", text)))
    made.node = SimpleNamespace(plan=plan, query=query)

    def run(host, program, query, timeout_s):
        made.asked.append((program, query))
        if program == "bandwidth":
            said = made.memory.pop(0)
            return True, json.dumps({"problem": None, **said} if isinstance(said, dict) else said)
        return True, ""

    def follow(host, step):
        made.asked.append(("llama_bench", None))
        return made.followed

    def look(host, query):
        made.asked.append(("look", query))
        text = made.left if isinstance(made.left, str) else json.dumps(made.left)
        state = FileState("file", 0o644, "root", "root", len(text), 0, text=text)
        return Snapshot(files={step.query["result"]: state if made.left else None})

    monkeypatch.setattr(connection, "run", run)
    monkeypatch.setattr(connection, "follow", follow)
    monkeypatch.setattr(connection, "look", look)
    report = SimpleNamespace(write=lambda kind, **event: made.events.append((kind, event)))

    def stepped(host, step, problem):
        made.problem = problem
        return problem is None

    run_of_it = SimpleNamespace(report=report, stepped=stepped)
    monkeypatch.setattr(bench, "this_run", lambda: run_of_it)
    return made


def measure(pi5):
    return bench._measure(pi5.host, pi5.node, "a" * 12, pi5.step)


def kept(pi5):
    return list(result.kept(pi5.folder, "pi5-a"))


def test_memory_is_measured_before_and_after_and_the_better_counts(pi5):
    assert measure(pi5)
    programs = [name for name, _ in pi5.asked if name != "say"]
    assert programs == ["bandwidth", "llama_bench", "look", "bandwidth", "remove_files"]
    (found,) = kept(pi5)
    assert (found.bandwidth.gb_s, found.bandwidth.threads) == (14.0, 4)
    assert (len(found.runs), found.release.release, found.problem) == (2, "a" * 12, None)


def test_the_nodes_own_copy_goes_once_the_result_is_kept(pi5, monkeypatch):
    def cannot(*_args):
        raise OSError("no space left")

    monkeypatch.setattr(result, "keep", cannot)
    with pytest.raises(OSError, match="no space left"):
        measure(pi5)
    assert "remove_files" not in [name for name, _ in pi5.asked]


def test_runs_of_a_benchmark_that_was_ended_are_kept_with_its_problem(pi5):
    pi5.followed = (False, "llama-bench did not end within 1800 s\n")
    assert not measure(pi5)
    (found,) = kept(pi5)
    assert (len(found.runs), found.problem) == (2, "llama-bench did not end within 1800 s")
    assert pi5.problem == found.problem


@pytest.mark.parametrize("left", [None, {"id": "of other work", "runs": [GOOD]}])
def test_without_figures_of_this_work_nothing_is_kept(pi5, left):
    pi5.left = left
    assert not measure(pi5)
    assert kept(pi5) == []
    assert "left no figures" in pi5.problem


def test_a_release_that_does_not_compute_fails_the_host_and_is_kept(pi5):
    pi5.left["runs"] = [DEAD]
    assert not measure(pi5)
    assert kept(pi5)[0].problem == "llama-bench ended with SIGILL"


def test_the_report_names_the_file(pi5):
    measure(pi5)
    kind, event = pi5.events[0]
    assert (kind, event["host"]) == ("bench", "pi5-a")
    assert result.read(pi5.folder / "bench" / "pi5-a" / event["file"].rpartition("/")[2])


def test_memory_that_cannot_be_measured_is_told_and_does_not_end_it(pi5):
    pi5.memory = [{"problem": "no room"}, {"problem": "no room"}]
    assert measure(pi5)
    assert kept(pi5)[0].bandwidth.problem == "no room"
    assert ("say", "memory: not measured: no room") in pi5.asked


@pytest.mark.untrusted
@examples(60)
@given(mangled(LEFT))
@example([])
@example({**LEFT, "runs": [{"answer_tps": "much"}]})
@example({**LEFT, "runs": 7})
@example({"runs": [GOOD]})
def test_whatever_a_node_recorded_is_kept_or_is_a_problem_in_words(pi5, left):
    again(pi5)
    pi5.left = {**left, "id": pi5.step.query["id"]} if own(left) else left
    assert measure(pi5) is (pi5.problem is None)
    assert kept(pi5) or "bench again" in pi5.problem


def again(pi5):
    """The same node before anything was measured."""
    shutil.rmtree(pi5.folder / "bench", ignore_errors=True)
    pi5.memory, pi5.problem = [{"gb_s": 13.0, "threads": 2}] * 2, None


def own(left):
    return isinstance(left, dict) and left.get("id") == LEFT["id"]


@pytest.mark.untrusted
@examples(60)
@given(mangled({"problem": None, "gb_s": 14.0, "threads": 4, "cached_gb_s": 40.0}))
@example({"gb_s": "fast", "threads": 4})
@example({"gb_s": 14.0, "threads": []})
@example({})
def test_whatever_a_node_says_of_its_memory_ends_no_benchmark(pi5, memory):
    again(pi5)
    pi5.memory = [memory] * 2
    assert measure(pi5)
    assert kept(pi5)[0].bandwidth.gb_s is None or 0 < kept(pi5)[0].bandwidth.gb_s < 1e9


def test_the_runs_are_as_the_server_computes_and_are_taken_up(pi5):
    query = pi5.step.query
    assert pi5.step.detached
    assert (query["threads"], query["ubatch_tokens"], query["rounds"]) == (4, 128, 2)
    assert (query["held_back"], query["take_up"]) == ("note", True)
    assert query["candidates"][0]["folder"].endswith(f"/releases/{'a' * 12}")
    assert bench.step_of(pi5.plan, "a" * 12, 2, 300) == pi5.step
    assert bench.step_of(pi5.plan, "b" * 12, 2, 300).query["result"] != query["result"]


def test_the_look_asks_for_all_that_roles_want_and_more(pi5):
    measure(pi5)
    asked = next(query for name, query in pi5.asked if name == "look")
    assert gather.DESKTOP in asked["units"]
    assert set(pi5.node.query["units"]) <= set(asked["units"])
    assert asked["hash_limit_bytes"] == pi5.node.query["hash_limit_bytes"]


@pytest.mark.parametrize(
    ("roles", "said"),
    [(["base", "engine"], "no model and no serving"), (None, "no release of llama.cpp is current")],
)
def test_what_cannot_be_benchmarked_is_refused(pi5, monkeypatch, roles, said):
    refused = []
    monkeypatch.setattr(bench, "refuse", lambda name, problem: refused.append(problem.why))
    parts = {name: pi5.plan.roles[name] for name in roles or pi5.plan.roles}
    plan = replace(pi5.plan, roles=parts)
    bench.bench(SimpleNamespace(plan=plan, snapshot=Snapshot()))
    assert said in refused[0]
