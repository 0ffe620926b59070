"""What a node says of itself in a line, believed only where it is of the form that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from bramble import remote
from bramble.typed import conforms

LATE_S: Mapping[str, float] = {"board": 45, "unit": 40, "server": 60, "gateway": 60}
"""From this age on a look says nothing of the present: one that hangs, or takes all the time it has."""

_OF = {
    "board": ("temperature_c", "throttled"),
    "unit": ("unit", "restarts", "resident_mib", "swapped_mib"),
    "server": ("health", "build", "models", "busy", "waiting", "tokens_per_s", "prompt_per_s"),
    "gateway": ("gateway", "queues", "nodes"),
}
Number = int | float | None


@dataclass(frozen=True)
class Said:
    """One line of the program `live`; None is what the node could not tell."""

    uptime_s: int | None = None
    temperature_c: Number = None
    throttled: int | None = None
    unit: str | None = None
    restarts: int | None = None
    resident_mib: Number = None
    swapped_mib: Number = None
    files_ok: bool | None = None
    files_said: str | None = None
    files_at_s: Number = None
    health: str | None = None
    build: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    busy: int | None = None
    waiting: int | None = None
    tokens_per_s: Number = None
    prompt_per_s: Number = None
    gateway: str | None = None
    queues: Mapping[str, int] | None = None
    nodes: Mapping[str, Mapping[str, int | str]] | None = None
    ages: Mapping[str, int | float] = field(default_factory=dict)

    def is_late(self, look: str) -> bool:
        """Return whether a kind of look is too old to tell of the present, or never ended."""
        return self.ages.get(look, LATE_S[look]) >= LATE_S[look]


_NAMES = tuple(one.name for one in fields(Said))


def said(line: str) -> Said:
    """Return what a line says, without looks that are late; raise ValueError for anything else."""
    found: dict[str, Any] = remote.answer(line)
    told = Said(**{name: found[name] for name in _NAMES if name in found})
    if not conforms(told, Said):
        raise ValueError("it is not of the form that was asked for")
    late = {name for look, names in _OF.items() if told.is_late(look) for name in names}
    return Said(**{name: getattr(told, name) for name in _NAMES if name not in late})
