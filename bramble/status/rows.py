"""A host's status as the cells of a row, each with what it means for the eye."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from bramble.status import gateway
from bramble.status.known import OLD_S
from bramble.status.result import HostStatus

Tone = Literal["", "good", "warn", "bad", "dim"]
HOT_C, WARM_C = 80, 70
UNKNOWN = "?"


@dataclass(frozen=True)
class Cell:
    """A text, and whether it is good news."""

    text: str
    tone: Tone = ""


def ago(seconds: float) -> str:
    """Return a time in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def _state(one: HostStatus, _now: datetime) -> Cell:
    tone: Tone = "good" if one.is_well else "dim" if one.state == "connecting" else "bad"
    if one.state == "loading":
        tone = "warn"
    heard = one.state not in ("silent", "unreachable", "connecting")
    if heard and one.age_s is not None and one.age_s >= OLD_S:
        return Cell(f"{one.state}, {ago(one.age_s)} ago", "warn")
    return Cell(one.state, tone)


def _model(one: HostStatus, _now: datetime) -> Cell:
    if one.gateway is not None and one.slots is None:
        up, of = gateway.counted(one.gateway)
        return Cell(f"{up} of {of} nodes", "" if up == of else "warn" if up else "bad")
    loaded = [model for model in one.models if model.state != "unloaded"]
    if any(not model.planned for model in loaded):
        return Cell(", ".join(model.name for model in loaded), "bad")
    return Cell(", ".join(model.name for model in loaded) or ("none loaded" if one.models else ""))


def _build(one: HostStatus, _now: datetime) -> Cell:
    return Cell(one.build or "", "bad" if one.build_planned is False else "")


def _speed(one: HostStatus, _now: datetime) -> Cell:
    if one.tokens_per_s is None:
        return Cell(f"reads {one.prompt_per_s:.0f}" if one.prompt_per_s else "")
    if not one.tokens_per_s:
        return Cell("idle", "dim")
    return Cell(f"{one.tokens_per_s:.1f}" if one.tokens_per_s < 100 else f"{one.tokens_per_s:.0f}")


def _slots(one: HostStatus, _now: datetime) -> Cell:
    used, of, waits = one.slots_busy, one.slots, one.waiting
    if one.gateway is not None and of is None:
        used, of, waits = gateway.together(one.gateway)
    if of is None or not one.is_well:
        return Cell("")
    busy = UNKNOWN if used is None else str(used)
    waiting = f" +{waits}" if waits else ""
    return Cell(f"{busy}/{of}{waiting}", "warn" if waiting else "")


def _heat(one: HostStatus, _now: datetime) -> Cell:
    if one.temperature_c is None:
        return Cell(_unknown(one), "dim")
    hot = one.temperature_c >= HOT_C
    tone: Tone = "bad" if hot else "warn" if one.temperature_c >= WARM_C else ""
    return Cell(f"{one.temperature_c:.0f} °C", tone)


def _held_back(one: HostStatus, _now: datetime) -> Cell:
    if one.throttled_now is None:
        return Cell(_unknown(one), "dim")
    if one.throttled_now:
        return Cell(", ".join(one.throttled_now), "bad")
    return Cell("earlier", "warn") if one.throttled_since_boot else Cell("no")


def _memory(one: HostStatus, _now: datetime) -> Cell:
    if one.resident_mib is None:
        return Cell("")
    planned = f"/{one.planned_mib}" if one.planned_mib else ""
    swapped = f" +{one.swapped_mib:.0f} swap" if one.swapped_mib and one.swapped_mib >= 1 else ""
    over = bool(one.planned_mib) and one.resident_mib > (one.planned_mib or 0)
    return Cell(f"{one.resident_mib:.0f}{planned} MiB{swapped}", "warn" if over or swapped else "")


def _uptime(one: HostStatus, _now: datetime) -> Cell:
    return Cell("" if one.uptime_s is None else ago(one.uptime_s))


def _drift(one: HostStatus, now: datetime) -> Cell:
    drift = one.drift
    if drift.at is None:
        return Cell("not audited", "dim")
    when = ago((now - drift.at).total_seconds())
    if drift.is_outdated:
        return Cell(f"deployed since ({when})", "dim")
    words = {"none": "none", "differs": drift.what.partition(":")[0] or "differs"}
    tone: Tone = "bad" if drift.found == "differs" else ""
    return Cell(f"{words.get(drift.found, UNKNOWN)} ({when})", tone)


def _unknown(one: HostStatus) -> str:
    """Return the sign of what a host that is heard does not tell."""
    return "" if one.age_s is None else UNKNOWN


Column = Callable[[HostStatus, datetime], Cell]
COLUMNS: dict[str, Column] = {
    "HOST": lambda one, _: Cell(one.host),
    "STATE": _state,
    "MODEL": _model,
    "TOK/S": _speed,
    "SLOTS": _slots,
    "TEMP": _heat,
    "HELD BACK": _held_back,
    "MEMORY": _memory,
    "UP": _uptime,
    "DRIFT": _drift,
    "BUILD": _build,
}


def cells(one: HostStatus, now: datetime | None = None) -> dict[str, Cell]:
    """Return a host's cells by the names of their columns."""
    moment = now or datetime.now(UTC)
    return {name: column(one, moment) for name, column in COLUMNS.items()}
