"""What a gateway's host found when it last asked its nodes, and who is drained since when and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from bramble import strict_json
from bramble.checks import Finding, expect, skip
from bramble.roles.gateway.questions import UNKNOWN
from bramble.roles.gateway.wanted import ASK, STATE, GatewayPlan
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.typed import conforms

RUNS = 3
JOURNAL = f"`sudo journalctl -u {ASK}` says why it did not ask; deploy again."
REMEDY = (
    "A node comes back by itself once its answer is right: `bramble verify` of it says what is wrong. "
    "One that somebody else drained comes back by `set server POOL/NODE state ready` on the gateway's "
    "admin socket."
)


@dataclass(frozen=True)
class Answer:
    """How a node of a pool answered."""

    pool: str
    node: str
    answer: str
    said: str


@dataclass(frozen=True)
class Drained:
    """A node of a pool that is drained; with `until_s` it is taken out until then at the latest."""

    pool: str
    node: str
    since_s: float
    until_s: float | None
    why: str


@dataclass(frozen=True)
class State:
    """What the host wrote down."""

    at_s: float
    nodes: tuple[Answer, ...]
    drained: tuple[Drained, ...]


def judged(plan: GatewayPlan, look: Snapshot) -> Finding:
    """Tell who is drained; it is not known where the nodes were not asked lately."""
    want = "each node answers, and none is drained"
    state = read(look)
    if isinstance(state, Unknown):
        return Finding("unknown", want, state.why, JOURNAL)
    age_s = look.taken_at_s - state.at_s
    if not -60 <= age_s <= RUNS * plan.every_s + plan.deadline_s:
        return Finding("unknown", want, f"they were last asked {age_s:.0f} s ago", JOURNAL)
    if state.drained:
        return expect(want, "; ".join(map(_told, state.drained)), False, REMEDY)
    if not plan.is_asked:
        return skip(want, f"{UNKNOWN} (serving.expect of the nodes)")
    return expect(want, _found(state.nodes), True, REMEDY)


def read(look: Snapshot) -> State | Unknown:
    """Return what the host wrote down."""
    seen = look.file(STATE)
    if isinstance(seen, Unknown):
        return seen
    if not isinstance(seen, FileState) or seen.text is None:
        return Unknown(f"there is no {STATE}: they have not been asked yet")
    try:
        state = _state(strict_json.loads(seen.text))
    except (ValueError, LookupError, TypeError) as error:
        return Unknown(f"{STATE} cannot be read: {error}")
    return state if conforms(state, State) else Unknown(f"{STATE} has what it cannot")


def _state(found: Any) -> State:
    nodes = (Answer(*(one[part.name] for part in fields(Answer))) for one in found["nodes"])
    drained = (Drained(*(one[part.name] for part in fields(Drained))) for one in found["drained"])
    return State(found["at_s"], tuple(nodes), tuple(drained))


def _told(one: Drained) -> str:
    """Say of a node since when and why it is drained."""
    until = f", until {_time(one.until_s)} at the latest" if one.until_s else ""
    return f"{one.node} ({one.pool}) since {_time(one.since_s)}{until}: {one.why}"


def _time(at_s: float) -> str:
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a time that there is not"


def _found(several: Iterable[Answer]) -> str:
    """Name the nodes by how they answered."""
    by_answer: dict[str, list[str]] = {}
    for one in several:
        by_answer.setdefault(one.answer, []).append(one.node)
    return "; ".join(f"{how}: {', '.join(names)}" for how, names in by_answer.items())
