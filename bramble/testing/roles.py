"""One role alone, for its tests: planned on a board, with its steps and its checks on a made-up look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bramble import project, registry
from bramble.board import Board
from bramble.checks import CHAT, Result, Task, run_all
from bramble.documents.validation import validate
from bramble.fleet import prepare
from bramble.plan import Inputs, NodePlan, Outputs
from bramble.prepared import prepared_sections
from bramble.role import Action
from bramble.snapshot import Snapshot, Unit, Unknown
from bramble.steps import Step

HOST = "pi5-a"
PI5 = Board(
    model="Raspberry Pi 5 Model B Rev 1.0",
    kind="pi5",
    architecture="arm64",
    codename="bookworm",
    cpu_part="0xd0b",
    cpu_features=frozenset({"asimd", "asimddp"}),
    cores=4,
    memory_mib=8063,
    page_size=16384,
)


def planned(
    name: str,
    values: Mapping[str, Any] | None = None,
    *,
    board: Board = PI5,
    given: Sequence[Outputs] = (),
) -> NodePlan:
    """Return the plan of a node with this role alone, its settings as in an inventory.

    `given` is what earlier roles give it. Raise ValueError with what is wrong with the settings.
    """
    role, place = registry.role(name), project.folder()
    settings, faults = validate(name, role.settings, dict(values or {}), host=HOST, folder=place)
    if settings is None:
        raise ValueError("\n".join(fault.message for fault in faults))
    prepared = prepare(place, ({name: settings},))
    sections = {name: settings}
    parts = prepared_sections(sections).values()
    if wrong := [fault for part in parts for fault in part.faults(sections, HOST, prepared)]:
        raise ValueError("\n".join(map(str, wrong)))
    part = role.plan(settings, board, Inputs(HOST, tuple(given), role.takes, prepared))
    return NodePlan(HOST, board, {name: part})


def due(plan: NodePlan, look: Snapshot, action: Action = "steps") -> dict[str, Step]:
    """Return the steps that have something to do on a node that shows this look, by their names."""
    several = (
        registry.role(name).carry(action, part, plan, look) for name, part in plan.roles.items()
    )
    return {step.name: step for steps in several for step in steps if step.why is not None}


def checked(plan: NodePlan, look: Snapshot) -> dict[str, Result]:
    """Return what each check finds on a node that shows this look, by the checks' names."""
    checks = tuple(check for name in plan.roles for check in registry.role(name).checks)
    return {result.check: result for result in run_all(_Seen(plan, look), checks)}


def unit(active: str = "active", enabled: str = "enabled", **changes: Any) -> Unit:
    """Return the state of a systemd unit that is there, running or not, but for some of it."""
    sub = "running" if active == "active" else "dead"
    state = Unit("loaded", active, sub, enabled, False, 0, "success", None)
    return replace(state, **changes)


@dataclass(frozen=True)
class _Seen:
    """A node that shows one look, and answers nothing."""

    plan: NodePlan
    snapshot: Snapshot

    def ask(self, url: str, question: str, task: Task = CHAT, model: str = "") -> Unknown:
        return Unknown("nobody is asked in a test")

    def read_back(self, path: str) -> None:
        return None
