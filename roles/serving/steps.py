"""What serving does on a node: files, user, service and gate, and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bramble.checks import ASK_TIMEOUT_S
from bramble.edge import steps as way_in
from bramble.llama.releases import note
from bramble.node.ssd import clear_card
from bramble.plan import NodePlan
from bramble.remote import serve_release, talk
from bramble.roles.serving import edge, left
from bramble.roles.serving.state import not_running, own_drop_ins, rejected, unproven
from bramble.roles.serving.wanted import (
    LOOPBACK,
    SYSUSERS_FILE,
    UNIT,
    UNIT_FILE,
    USER,
    Further,
    ServingPlan,
)
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step, remove_files, systemd, write_files


def steps(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Write the files, have the user, have the service run what they say, and clear up after it."""
    name = "Write the service's files"
    if refused := rejected(plan, node.host, snapshot):
        written = Step(name, refused, "refuse", {"why": refused})
    else:
        written = write_files(name, plan.own_files, snapshot)
    aside = _set_aside(plan, node.host, snapshot)
    run, cleared = _run(plan, snapshot, written), clear_card(plan.model_folder, snapshot)
    old = left.superfluous(plan.files, plan.good, snapshot)
    tidied = remove_files(
        "Remove chat templates and lists of models that nothing reads", old, snapshot
    )
    served = (written, _have_user(snapshot), aside, run, tidied, cleared)
    let_in = way_in.steps(plan.edge, snapshot)
    return (*served, *(replace(one, interrupts=bool(one.query.get("restart"))) for one in let_in))


def revert(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """End the service and remove its files; the user stays, as its number must not become another's."""
    unit = snapshot.unit(UNIT)
    there = isinstance(unit, Unknown) or unit.load != "not-found"
    ended = not isinstance(unit, Unknown) and (unit.active, unit.enabled) == (
        "inactive",
        "disabled",
    )
    why = f"{UNIT} is there" if there else None
    all_files = [
        *(file.path for file in plan.own_files),
        *left.superfluous(plan.files, "", snapshot),
    ]
    return (
        *way_in.revert(edge.PLACE, snapshot),
        systemd("End the service", None if ended else why, stop=(UNIT,), disable=(UNIT,)),
        remove_files("Remove the service's files", all_files, snapshot),
        systemd("Forget the service", why, reload=True),
    )


def again(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Forget that this node rejected the plan, so that later steps retry it."""
    marks = (plan.rejection,) if note(snapshot, plan.rejection) else ()
    step = remove_files("Forget that the model was rejected", marks, snapshot)
    return (replace(step, look_again=True),)


def restart(plan: ServingPlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Restart the service whatever it runs, and have it answer; refuse where there is none."""
    name, unit = "Restart the service", snapshot.unit(UNIT)
    if not isinstance(unit, Unknown) and unit.load == "not-found":
        why = f"there is no {UNIT} on {node.host}; `bramble up {node.host}` makes it"
        return (Step(name, why, "refuse", {"why": why}),)
    query = {
        "unit": UNIT,
        "unit_file": UNIT_FILE,
        "url": plan.url,
        "host": LOOPBACK,
        "deadline_s": plan.start_deadline_s,
        "name": plan.model_name,
        "question": plan.question,
        "expect": plan.expect,
        "dimensions": plan.task.dimensions,
        "further": [_asked(one) for one in plan.further],
    }
    timeout_s = (1 + len(plan.further)) * (plan.start_deadline_s + ASK_TIMEOUT_S) + 120
    why = "a restart was asked for"
    step = Step(name, why, "restart_server", query, detached=True, timeout_s=timeout_s)
    return (replace(step, interrupts=True),)


def _have_user(snapshot: Snapshot) -> Step:
    name = "Create the service's user"
    if not isinstance(snapshot.users, Unknown) and snapshot.users.get(USER):
        return Step(name, None)
    argv = ["systemd-sysusers", SYSUSERS_FILE]
    return Step(name, f"there is no user {USER}", "command", {"argv": argv})


def _set_aside(plan: ServingPlan, host: str, snapshot: Snapshot) -> Step:
    """Rename drop-ins that others made, so that only the unit's file counts."""
    name, unit = "Set drop-ins of the unit aside", snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return Step(name, None)
    found = own_drop_ins(unit)
    if not found:
        return Step(name, None)
    several = ", ".join(found)
    if plan.foreign_drop_ins == "set_aside":
        return Step(name, several, "set_aside", {"paths": found})
    why = (
        f"{several} changes {UNIT} on {host}, and serving.foreign_drop_ins is refuse: bring what it "
        "sets into the inventory and remove it, or set serving.foreign_drop_ins to set_aside"
    )
    return Step(name, why, "refuse", {"why": why})


def _run(plan: ServingPlan, snapshot: Snapshot, written: Step) -> Step:
    """Start what is planned and take it through the gate; what only lacks the gate continues running.

    Where this very plan was rejected, that is said first, and nothing here is carried out.
    """
    name = "Run the service"
    why = not_running(plan, snapshot)
    if why is None and UNIT_FILE in written.writes:
        why = "systemd must read the unit that is written again"
    restart = why is not None
    why = why or unproven(plan, snapshot)
    if why is None:
        return Step(name, None)
    query = {
        "unit": UNIT,
        "unit_file": UNIT_FILE,
        "restart": restart,
        "url": plan.url,
        "host": LOOPBACK,
        "deadline_s": plan.start_deadline_s,
        "home": plan.engine_home.path,
        "release": plan.release,
        "identity": plan.identity,
        "attempt": plan.attempt,
        "name": plan.model_name,
        "path": plan.model_path,
        "helpers": [*plan.helpers],
        "question": plan.question,
        "expect": plan.expect,
        "dimensions": plan.task.dimensions,
        "speed_share": plan.speed_share,
        "further": [_asked(one) for one in plan.further],
    }
    # What was good before starts too where this one fails, and may be as many models.
    models = 2 * (1 + len(plan.further))
    asking_s = models * plan.start_deadline_s + 2 * len(plan.further) * talk.ASK_TIMEOUT_S
    timeout_s = asking_s + serve_release.LONGEST_S + 120
    step = Step(name, why, "serve_release", query, detached=True, timeout_s=timeout_s)
    return replace(step, interrupts=restart)


def _asked(model: Further) -> dict[str, Any]:
    """Return what the gate is told of a model beside the first one."""
    return {
        "name": model.name,
        "path": model.path,
        "expect": model.task.expect,
        "dimensions": model.task.dimensions,
        "setting": model.setting,
    }
