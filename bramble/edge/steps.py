"""What is done about a way in: judged by HAProxy, then written, then taken up; and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bramble.edge.wanted import DEBIANS, DEBIANS_CONFIG, PROGRAM, EdgePlan, Place
from bramble.node import sandbox
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, lacking, remove_files, sent, systemd, write_files

SLOWEST_S = 30


def steps(
    plan: EdgePlan,
    snapshot: Snapshot,
    kept: Sequence[str] = (),
    awaited: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Step, ...]:
    """Leave Debian's unit off, then have ours run what is planned, or none where nothing is exposed.

    `kept` are files of the node that are planned, but whose text this run does not have. `awaited` is
    what the program serve_edge waits for besides.
    """
    place = plan.place
    planned = {file.path for file in plan.files}
    left = [path for path in place.ever if path not in (*planned, *kept)]
    gone = remove_files(f"Remove what the {place.called} has no more", left, snapshot)
    return (
        _rest(plan, snapshot),
        _run(plan, snapshot, kept, awaited),
        _ended(place, plan.there, snapshot),
        gone,
        _forget(place, None if plan.there else gone.why),
    )


def revert(place: Place, snapshot: Snapshot) -> tuple[Step, ...]:
    """End the unit and remove all of its files, with whatever key is in them."""
    gone = remove_files(f"Remove the {place.called}'s files", place.ever, snapshot)
    return (_ended(place, False, snapshot), gone, _forget(place, gone.why))


def _forget(place: Place, why: str | None) -> Step:
    return systemd(f"Forget the {place.called}", why, reload=True)


def _ended(place: Place, there: bool, snapshot: Snapshot) -> Step:
    """End the unit where nothing is exposed any more."""
    name, unit = f"End the {place.called}", snapshot.unit(place.unit)
    if there:
        return Step(name, None)
    if isinstance(unit, Unknown):
        return systemd(name, unit.why, stop=(place.unit,), disable=(place.unit,))
    if unit.load == "not-found" or (unit.active, unit.enabled) == ("inactive", "disabled"):
        return Step(name, None)
    why = f"{place.unit} is {unit.active}"
    return systemd(name, why, stop=(place.unit,), disable=(place.unit,))


def _rest(plan: EdgePlan, snapshot: Snapshot) -> Step:
    """Stop Debian's unit where its configuration listens to nothing: somebody's own may stay."""
    name = "Leave Debian's HAProxy off"
    if not plan.there:
        return Step(name, None)
    if lacking((PROGRAM,), snapshot):
        # The role base has just installed it, after the look.
        why: str | None = "its package starts it when it is installed"
    elif listening(snapshot):
        return Step(name, None, note=f"{DEBIANS_CONFIG} listens: it is left to whoever wrote it")
    else:
        why = debians_runs(snapshot)
    return systemd(name, why, stop=(DEBIANS,), disable=(DEBIANS,))


def listening(snapshot: Snapshot) -> bool:
    """Tell whether Debian's configuration listens to something, which then is somebody's."""
    config = snapshot.file(DEBIANS_CONFIG)
    text = (config.text or "") if isinstance(config, FileState) else ""
    words = {line.split()[0] for line in text.splitlines() if line.split()}
    return bool(words & {"frontend", "listen", "bind"})


def debians_runs(snapshot: Snapshot) -> str | None:
    """Return that Debian's own unit runs or will; None where it is off, or not known."""
    unit = snapshot.unit(DEBIANS)
    if isinstance(unit, Unknown) or unit.load == "not-found":
        return None
    off = (unit.active, unit.enabled) == ("inactive", "disabled")
    return None if off else f"{DEBIANS} is {unit.active} and {unit.enabled}"


def _run(
    plan: EdgePlan, snapshot: Snapshot, kept: Sequence[str], awaited: Mapping[str, Any]
) -> Step:
    """Have the files judged by HAProxy itself, write them, and have the unit take them up."""
    place = plan.place
    if not plan.there:
        return Step(place.run, None)
    written = write_files(place.run, plan.files, snapshot)
    why = written.why or not_running(plan, snapshot)
    if why is None:
        return Step(place.run, None)
    query = {
        "files": [sent(file) for file in plan.files],
        "changed": list(written.writes),
        "folder": place.folder,
        "unit": place.unit,
        "restart": place.unit_file in written.writes or untold(plan, snapshot) is not None,
        "ask": plan.asks("/health"),
        "plan_id": plan.plan_id,
        "deadline_s": SLOWEST_S,
        **({"kept": [*kept]} if kept else {}),
        **({"awaited": {**awaited}} if awaited else {}),
    }
    return replace(written, why=why, program="serve_edge", query=query)


def not_running(plan: EdgePlan, snapshot: Snapshot) -> str | None:
    """Return why the program does not run what is planned; None when it does."""
    place = plan.place
    unit = snapshot.unit(place.unit)
    if isinstance(unit, Unknown):
        return unit.why
    if (unit.active, unit.enabled) != ("active", "enabled"):
        return f"{place.unit} is {unit.active} and {unit.enabled or unit.load}"
    if loose := sandbox.loaded_otherwise(place.unit_file, plan.unit_text, unit):
        return "; ".join(loose)
    return otherwise(plan, snapshot) or untold(plan, snapshot)


def otherwise(plan: EdgePlan, snapshot: Snapshot) -> str | None:
    """Return how what it tells at /health differs from the plan; None when it does not."""
    said = snapshot.command(plan.asks("/health"))
    if isinstance(said, Unknown):
        return said.why
    if said is None or said.code:
        return f"it does not answer: {said.output.strip() if said else 'there is no curl'}"
    if said.output.split()[:1] != [plan.plan_id]:
        return f"it has another configuration than the planned one ({plan.plan_id})"
    return None


def untold(plan: EdgePlan, snapshot: Snapshot) -> str | None:
    """Return that it does not tell the node its figures; None when it does."""
    said = snapshot.command(plan.tells)
    if isinstance(said, Unknown):
        return said.why
    told = said is not None and said.output.split()[-1:] == ["200"]
    return None if told else f"it does not tell its figures by {plan.place.figures}"
