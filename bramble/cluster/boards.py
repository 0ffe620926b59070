"""The boards of a cluster: as a person writes them, their memory, what they read and draw."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bramble.fit.speed import PUBLISHED, family
from bramble.fit.verdict import BOARDS, Room

MOST = 32
"""Boards of a plan; published are at most ten."""

_PART = re.compile(r"([a-z0-9-]+)(?:\*([0-9]{1,4}))?")


class BoardsError(Exception):
    """Why boards cannot be planned with: where, what was found, what is allowed, what to do."""


@dataclass(frozen=True)
class Node:
    """A board of the cluster; `gb_s` is what generation reads on it, None where nothing is known."""

    name: str
    family: str
    room: Room
    gb_s: tuple[float, float] | None
    source: str


@dataclass(frozen=True)
class Watts:
    """What a board draws that computes, from and to, and one that waits."""

    busy: tuple[float, float]
    idle: float
    source: str


WATTS: Mapping[str, Watts] = {
    "pi4": Watts(
        (6, 9), 3, "6 W of a Pi 400 (geerlingguy/ai-benchmarks), 9 and idle 3 by article A"
    ),
    "pi5": Watts((12, 13), 3, "13 W (geerlingguy/ai-benchmarks#7), 12 and idle 3 by article A"),
}
"""By the family of boards; nothing of a switch is known."""


def node(name: str, kind: str, room: Room) -> Node:
    """Return a board with what is published of its kind."""
    known = PUBLISHED.get(family(kind))
    if known is None:
        why = f"{name} is no Pi 4 or 5, and of other boards nothing is published here"
        return Node(name, "", room, None, why)
    return Node(name, family(kind), room, known.usual, known.usual_source)


def parsed(text: str) -> tuple[Node, ...]:
    """Return the boards that a text such as pi5-8g,pi4-4g*3 names."""
    found: list[Node] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        name, count = (match[1], int(match[2] or 1)) if match else (part.strip(), 1)
        if name not in BOARDS:
            raise BoardsError(f'--boards {text}: "{name}" is no board that is known; {_near(name)}')
        if not 1 <= count <= MOST:
            raise BoardsError(
                f"--boards {text}: {count} boards of {name}; 1 to {MOST} are planned for: write "
                f"{name}*4 for four"
            )
        found += [node(name, name, BOARDS[name])] * count
    if len(found) > MOST:
        raise BoardsError(f"--boards {text}: {len(found)} boards; at most {MOST} are planned for")
    return tuple(found)


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, BOARDS, n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}known: {', '.join(BOARDS)}; write BOARD, or BOARD*COUNT, with commas between"


def rooted(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the boards with the one that has most memory first: the root needs more than others."""
    return tuple(sorted(nodes, key=lambda one: -one.room.memory_mib))


def slowest(nodes: Sequence[Node]) -> str:
    """Return the family that the others wait for; empty where one of them is not known."""
    families = {one.family for one in nodes}
    if "" in families:
        return ""
    return min(families, key=lambda name: PUBLISHED[name].usual)


def named(nodes: Sequence[Node]) -> str:
    """Return the boards as a person writes them."""
    names = list(dict.fromkeys(one.name for one in nodes))
    counts = {name: sum(one.name == name for one in nodes) for name in names}
    return ", ".join(f"{name}*{count}" if count > 1 else name for name, count in counts.items())


def watts(nodes: Sequence[Node], busy: int) -> tuple[float, float] | None:
    """Return what boards draw of which so many compute at once; None where one is not known."""
    known = [WATTS[one.family] for one in nodes if one.family in WATTS]
    if len(known) < len(nodes):
        return None
    known.sort(key=lambda one: one.busy)
    idle = len(known) - busy
    least = sum(one.busy[0] for one in known[:busy]) + sum(one.idle for one in known[busy:])
    most = sum(one.busy[1] for one in known[idle:]) + sum(one.idle for one in known[:idle])
    return least, most


def watts_source(nodes: Sequence[Node]) -> str:
    """Say who says what boards draw."""
    families = dict.fromkeys(one.family for one in nodes)
    return "; ".join(WATTS[name].source for name in families if name in WATTS)
