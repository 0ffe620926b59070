"""Races variants of llama.cpp on a node: each installed as a deploy would, then run in turn there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pyinfra.api import Host
from pyinfra.context import host, state

from bramble import fleet, registry, strict_json
from bramble.bench import result
from bramble.bench.race import COOL_S, NEEDED, as_served
from bramble.documents.problems import InventoryError
from bramble.outputs import EngineOutputs, EngineSettings, ModelOutputs
from bramble.plan import NodePlan, identity, make
from bramble.pyinfra import connection
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.run import PlannedNode, execute
from bramble.pyinfra.session import Work, in_words, on_host, refuse, this_run
from bramble.pyinfra.telling import say
from bramble.snapshot import FileState
from bramble.steps import Step

RESULT = "/run/bramble/race.json"
TIMEOUT_S = 24 * 3600


@in_words
def race(node: PlannedNode) -> None:
    """Install the variants of `--data variants=A,B`, and run each `--data rounds=N` times.

    `--data cool=S`: how long it may take to cool before each run.
    """
    if node.plan is None:
        return
    said = host.data.get("variants")
    try:
        plans = candidates(node.plan, host.data.bramble, tuple(said.split(",")) if said else ())
    except (InventoryError, LookupError) as error:
        refuse(name="Refuse the race", problem=Problem(str(error.args[0])))
        return
    engine = registry.giving(EngineOutputs).name
    for variant in host.loop(plans):
        execute(PlannedNode(plans[variant], node.snapshot, node.query), engine, "candidate")
    run_in_turn(
        name="Race",
        plans=plans,
        rounds=int(host.data.get("rounds", 5)),
        cool_s=int(host.data.get("cool", COOL_S)),
    )


def candidates(
    plan: NodePlan, data: Mapping[str, Any], variants: Sequence[str]
) -> dict[str, NodePlan]:
    """Return the node's plan with each of these variants (none: all that may gain), plain first."""
    lacking = registry.lacking(plan, NEEDED)
    if lacking:
        raise LookupError(
            f"a race needs the roles {registry.names_giving(NEEDED)}; {plan.host} has no "
            f"{' and no '.join(lacking)}"
        )
    settings, _ = fleet.of_data(plan.host, data)
    engine = registry.giving(EngineOutputs).name
    raced: Any = settings[engine]
    own: EngineSettings = raced
    names = variants or own.worth_a_race(plan.board)
    names = tuple(dict.fromkeys(("plain", *names)))
    if len(names) < 2:
        raise LookupError(
            f"there is nothing to race on {plan.host}: no variant but plain is for it"
        )
    found = {}
    for name in names:
        changed = {**data, engine: {**data.get(engine, {}), "variant": name}}
        again, prepared = fleet.of_data(plan.host, changed)
        unpinned, roles = prepared.with_pin(plan.host, None), registry.roles_of(again)
        found[name] = make(plan.host, again, plan.board, roles, unpinned)
    return found


@on_host
def run_in_turn(plans: Mapping[str, NodePlan], rounds: int, cool_s: int) -> str | Work:
    """Run every candidate's llama-bench on the node, and report the figures."""
    if not state.is_executing:
        return "the race runs at the end"
    return lambda host: _run(host, step_of(plans, rounds, cool_s), plans)


def _run(host: Host, step: Step, plans: Mapping[str, NodePlan]) -> bool:
    ok, output = connection.follow(host, step)
    problem = None if ok else output.strip() or "it failed without a word"
    found: list[dict[str, Any]] = []
    if ok:
        found, problem = _result(host, step, plans)
        if problem:
            say(host, problem, "red")
    plain = plans["plain"]
    if found:
        this_run().report.write(
            "race",
            host=host.name,
            soc=plain.outputs.need(EngineOutputs).soc,
            model=plain.outputs.need(ModelOutputs).name,
            releases={
                name: plan.outputs.need(EngineOutputs).release for name, plan in plans.items()
            },
            runs=found,
        )
    return this_run().stepped(host, step, problem)


def step_of(plans: Mapping[str, NodePlan], rounds: int, cool_s: int) -> Step:
    """Return the race as a step: it continues without this computer, and a later run follows it."""
    query = {
        **as_served(plans["plain"], rounds),
        "candidates": [
            {"variant": name, "folder": plan.outputs.need(EngineOutputs).folder}
            for name, plan in plans.items()
        ],
        "held_back": "end",
        "result": RESULT,
        "take_up": False,
    }
    query["id"] = identity(query)
    query["cool_s"] = cool_s
    why = f"{', '.join(plans)} in turn, {rounds} times"
    return Step("Race", why, "llama_bench", query, detached=True, timeout_s=TIMEOUT_S)


def _result(
    host: Host, step: Step, variants: Collection[str]
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the runs that the node recorded for this race, or why there are none."""
    seen = connection.look(host, {"files": [RESULT]}).file(RESULT)
    text = seen.text if isinstance(seen, FileState) else None
    try:
        found = result.of_node(result.Raced, strict_json.loads(text)) if text else None
        if found and {run.variant for run in found.runs} - {*variants}:
            raise ValueError("they are of other variants")
    except ValueError as error:
        return [], f"the figures at {RESULT} cannot be read ({error}); race again"
    if found is None or not found.runs or found.id != step.query["id"]:
        return [], f"the node left no figures at {RESULT}; race again"
    return [run.model_dump(mode="json", exclude_none=True) for run in found.runs], None
