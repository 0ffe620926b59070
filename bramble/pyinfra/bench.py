"""Benchmarks nodes as they serve: their memory, and llama-bench with their own model, watched."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pyinfra.api import Host
from pyinfra.context import host, state

from bramble import registry, remote, strict_json
from bramble.bench import gather, result
from bramble.bench.race import COOL_S, NEEDED, as_served
from bramble.outputs import EngineOutputs, ModelOutputs
from bramble.plan import FactsNeeded, NodePlan, identity
from bramble.project import folder
from bramble.pyinfra import connection
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.run import PlannedNode
from bramble.pyinfra.session import Work, in_words, on_host, refuse, this_run
from bramble.pyinfra.telling import say
from bramble.snapshot import FileState, Snapshot
from bramble.steps import Step

RESULTS = "/run/bramble/bench-{}.json"
BANDWIDTH_TIMEOUT_S = 120
TIMEOUT_S = 24 * 3600


@in_words
def bench(node: PlannedNode) -> None:
    """Measure the current release, `--data rounds=N` times, and store the result in the inventory.

    `--data cool=S`: how long it may take to cool before each run.
    """
    if node.plan is None:
        return
    lacking = registry.lacking(node.plan, NEEDED)
    release = "" if lacking else gather.current(node.plan, node.snapshot)
    if lacking or not release:
        why = (
            f"a benchmark needs the roles {registry.names_giving(NEEDED)}; this host has no "
            f"{' and no '.join(lacking)}"
            if lacking
            else "no release of llama.cpp is current here; run `bramble up` first"
        )
        refuse(name="Refuse the benchmark", problem=Problem(why))
        return
    step = step_of(
        node.plan, release, int(host.data.get("rounds", 5)), int(host.data.get("cool", COOL_S))
    )
    measure(name="Benchmark", node=node, release=release, step=step)


def step_of(plan: NodePlan, release: str, rounds: int, cool_s: int) -> Step:
    """Return the runs as a step: it continues without this computer, and a later run takes it up."""
    home, model = plan.outputs.need(EngineOutputs).home, plan.outputs.need(ModelOutputs)
    entry = {"variant": release, "folder": home.release(release)}
    query = {
        **as_served(plan, rounds),
        "candidates": [entry],
        "held_back": "note",
        "take_up": True,
    }
    query["id"] = identity(query)
    query["cool_s"] = cool_s
    query["result"] = RESULTS.format(query["id"])
    why = f"release {release} with {model.name}, {rounds} times"
    return Step("Benchmark", why, "llama_bench", query, detached=True, timeout_s=TIMEOUT_S)


@on_host
def measure(node: PlannedNode, release: str, step: Step) -> str | Work:
    """Measure the memory, run llama-bench, measure the memory again; store all of it."""
    if not state.is_executing:
        return "the benchmark runs at the end"
    return lambda host: _measure(host, node, release, step)


def _measure(host: Host, node: PlannedNode, release: str, step: Step) -> bool:
    assert node.plan is not None
    first = _bandwidth(host)
    ok, output = connection.follow(host, step)
    problem = None if ok else output.strip() or "it failed without a word"
    seen = connection.look(host, _query(node, step.query["result"]))
    made, unread = _left(seen, step)
    if unread or (ok and not made):
        problem = unread or "the node left no figures; bench again"
    if made:
        bandwidth = _best(first, _bandwidth(host))
        found = gather.result_of(
            node.plan, seen, release, made, bandwidth, step.query, problem or _broken(made)
        )
        file = result.keep(folder(), found)
        this_run().report.write("bench", host=host.name, file=str(file))
        # Only now: a result that is stored nowhere else must not be removed.
        connection.run(host, "remove_files", {"paths": [step.query["result"]]}, 60)
        problem = found.problem
    if problem:
        say(host, problem, "red")
    return this_run().stepped(host, step, problem)


def _broken(made: result.Recorded) -> str | None:
    """Return the first run's problem, where llama-bench itself failed."""
    return next((run.problem for run in made.runs if run.problem), None)


def _bandwidth(host: Host) -> result.Bandwidth:
    """Measure the memory's read bandwidth, or return why that failed."""
    ok, output = connection.run(host, "bandwidth", {}, BANDWIDTH_TIMEOUT_S)
    try:
        said = remote.answer(output) if ok else {"problem": output.strip()}
        found = result.of_node(result.Bandwidth, said)
    except ValueError as error:
        found = result.Bandwidth(problem=f"the node's answer cannot be read: {error}")
    say(
        host,
        f"memory: {found.gb_s:.2f} GB/s with {found.threads} thread(s)"
        if found.gb_s
        else f"memory: not measured: {found.problem or 'the node did not say why'}",
    )
    return found


def _best(first: result.Bandwidth, second: result.Bandwidth) -> result.Bandwidth:
    """Return the higher of two measurements: it is an upper bound, and a disturbed one is too low."""
    return max(first, second, key=lambda found: found.gb_s or 0)


def _query(node: PlannedNode, results: str) -> dict[str, Any]:
    """Return the query of the look after the runs: what roles need, and what a result needs besides."""
    assert node.plan is not None
    more, query = gather.facts_needed(node.plan, results), dict(node.query)
    for field in fields(FactsNeeded):
        asked: Any = query.get(field.name, [])
        query[field.name] = list(dict.fromkeys([*asked, *getattr(more, field.name)]))
    return query


def _left(seen: Snapshot, step: Step) -> tuple[result.Recorded | None, str | None]:
    """Return the runs that the node recorded for this very step, complete or not; or why not."""
    file = seen.file(step.query["result"])
    if not isinstance(file, FileState) or not file.text:
        return None, None
    try:
        found = result.of_node(result.Recorded, strict_json.loads(file.text))
    except ValueError as error:
        return None, f"the figures that the node left cannot be read ({error}); bench again"
    return (found if found.runs and found.id == step.query["id"] else None), None
