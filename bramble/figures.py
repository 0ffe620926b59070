"""Figures of a node that charts are drawn of: its heat, its memory against the plan, its speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bramble.node import vitals
from bramble.outputs import Served, ServingOutputs
from bramble.plan import NodePlan
from bramble.sanitize import number
from bramble.snapshot import Snapshot, Unknown

_BOUNDS = {
    "temperature_c": (-300, 1000),
    "resident_mib": (0, 1 << 32),
    "planned_mib": (0, 1 << 32),
    "tokens_per_s": (0, 1e9),
}
# Beyond them a figure is none: nodes say what they like.


@dataclass(frozen=True)
class Figures:
    """What a node told; None is what it did not tell."""

    temperature_c: float | None = None
    resident_mib: float | None = None
    planned_mib: float | None = None
    tokens_per_s: float | None = None


def believed(said: Mapping[str, Any]) -> Figures:
    """Return those of what was said that are numbers, and possible."""
    return Figures(**{name: _amount(said.get(name), *bounds) for name, bounds in _BOUNDS.items()})


def _amount(said: Any, least: float, most: float) -> float | None:
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return said if is_number and least <= said <= most else None


def of_node(plan: NodePlan, look: Snapshot, answer: Mapping[str, Any] | None) -> Figures:
    """Return the figures of a look, and of the model's answer, where it was asked."""
    service = plan.outputs.find(ServingOutputs)
    served = next((part for part in plan.roles.values() if isinstance(part, Served)), None)
    return believed(
        {
            "temperature_c": vitals.temperature_c(look),
            "resident_mib": _resident_mib(look, service.unit) if service else None,
            "planned_mib": served.fit.answer.total_mib if served and served.fit else None,
            "tokens_per_s": (answer or {}).get("tokens_per_second"),
        }
    )


def _resident_mib(look: Snapshot, unit: str) -> float | None:
    """Return how much of the server is in memory: the kernel's VmRSS."""
    process = look.process(unit)
    if process is None or isinstance(process, Unknown):
        return None
    kib = number(process.status.get("VmRSS", "").removesuffix(" kB"))
    return None if kib is None else round(kib / 1024, 1)
