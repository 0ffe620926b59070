"""Makes a result from a node's plan, one look at it, and what its programs measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.bench import result
from bramble.board import Board
from bramble.llama.releases import linked, manifest_path, note, smoke_path
from bramble.node import vitals
from bramble.node.container import COMMAND, container
from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
from bramble.plan import FactsNeeded, NodePlan
from bramble.sanitize import number
from bramble.snapshot import FileState, Snapshot, Unknown

DESKTOP = "display-manager.service"
GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
MAX_CLOCK = "/sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq"

# The names in llama.cpp's system_info, with the features (/proc/cpuinfo) that each needs.
SHOWN: Mapping[str, frozenset[str]] = {
    "DOTPROD": frozenset({"asimddp"}),
    "MATMUL_INT8": frozenset({"i8mm"}),
    "AVX2": frozenset({"avx2"}),
    "AVX512": frozenset({"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"}),
}


def facts_needed(plan: NodePlan, results: str) -> FactsNeeded:
    """Return the facts that the look after the runs needs besides those of the roles."""
    return FactsNeeded(
        files=(GOVERNOR, MAX_CLOCK, results, *vitals.FILES),
        units=(DESKTOP, plan.outputs.need(ServingOutputs).unit),
        commands=(*vitals.COMMANDS, COMMAND),
    )


def current(plan: NodePlan, snapshot: Snapshot) -> str:
    """Return the release that serves on the node; empty where none does."""
    return linked(snapshot, plan.outputs.need(EngineOutputs).home.current)


def result_of(
    plan: NodePlan,
    snapshot: Snapshot,
    release: str,
    made: result.Recorded,
    bandwidth: result.Bandwidth,
    query: Mapping[str, Any],
    problem: str | None,
) -> result.Result:
    """Return all of it in the form that is stored."""
    board, model = plan.board, plan.outputs.need(ModelOutputs)
    engine, serving = plan.outputs.need(EngineOutputs), plan.outputs.need(ServingOutputs)
    return result.Result(
        host=plan.host,
        at=result.now(),
        board=result.Board(
            model=board.model, kind=board.kind, memory_mib=board.memory_mib, cores=board.cores
        ),
        release=_release(engine, snapshot, release, board),
        model=result.Model(
            name=model.name,
            sha256=model.sha256,
            dimensions=model.dimensions,
        ),
        threads=query["threads"],
        ubatch_tokens=query["ubatch_tokens"],
        prompt_tokens=query["prompt_tokens"],
        answer_tokens=query["answer_tokens"],
        bandwidth=bandwidth,
        runs=made.runs,
        problem=problem,
        seen=_seen(serving.unit, snapshot, made),
    )


def _release(
    engine: EngineOutputs, snapshot: Snapshot, release: str, board: Board
) -> result.Release:
    """Describe the release that ran, by its manifest and its smoke test."""
    folder = engine.home.release(release)
    manifest = note(snapshot, manifest_path(folder))
    return result.Release(
        release=release,
        build_info=str(manifest.get("build_info", "")),
        variant=str(manifest.get("variant", "")),
        soc=str(manifest.get("soc", "")),
        processor=engine.soc,
        lacks=lacks(note(snapshot, smoke_path(folder)).get("system_info"), board),
    )


def lacks(shown: object, board: Board) -> tuple[str, ...] | None:
    """Return what this processor has and the release was not built with; None where it is unknown."""
    if not isinstance(shown, Mapping):
        return None
    possible = [name for name, features in SHOWN.items() if features <= board.cpu_features]
    return tuple(name for name in possible if name not in shown)


def _seen(unit: str, snapshot: Snapshot, made: result.Recorded) -> result.Seen:
    """Return what the node reports of itself; None for what it does not report."""
    throttled, kind = vitals.throttled(snapshot), container(snapshot)
    desktop, server = snapshot.unit(DESKTOP), snapshot.unit(unit)
    known = throttled if isinstance(throttled, vitals.Throttled) else None
    highest_khz = number(_text(snapshot, MAX_CLOCK) or "")
    return result.Seen(
        held_back_now=known.now if known else None,
        held_back_since_boot=known.since_boot if known else None,
        server=None if isinstance(server, Unknown) else server.active,
        server_swap_mib=made.server_swap_mib,
        desktop=None if isinstance(desktop, Unknown) else desktop.active == "active",
        governor=_text(snapshot, GOVERNOR),
        max_mhz=highest_khz / 1000 if highest_khz else None,
        container=None if isinstance(kind, Unknown) else kind,
    )


def _text(snapshot: Snapshot, path: str) -> str | None:
    seen = snapshot.file(path)
    return seen.text.strip() if isinstance(seen, FileState) and seen.text else None
