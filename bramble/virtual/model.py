"""What a virtual Pi is called, where it answers and what is known of it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from bramble.virtual.errors import VirtualPiError

NETWORK = "10.77.0"
GATEWAY = f"{NETWORK}.1"
PREFIX_BITS = 24
FIRST_HOST = 10
MAX_NUMBER = 200

State = Literal["running", "stopped"]

_NAME = re.compile(r"vpi-([1-9][0-9]{0,2})")


@dataclass(frozen=True)
class Node:
    """One virtual Pi as `bramble virtual list` tells it."""

    name: str
    address: str
    board: str
    fault: str | None
    state: State
    pid: int | None
    uptime: float | None
    """Seconds since its last boot."""


def is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name))


def number_of(name: str) -> int:
    """The number in a node's name; the name's form is checked here and nowhere else."""
    found = _NAME.fullmatch(name)
    if not found or int(found[1]) > MAX_NUMBER:
        raise VirtualPiError(
            f"{name!r} is no name of a virtual Pi: allowed are vpi-1 to vpi-{MAX_NUMBER}"
        )
    return int(found[1])


def address_of(name: str) -> str:
    """vpi-N answers at 10.77.0.(10+N)."""
    return f"{NETWORK}.{FIRST_HOST + number_of(name)}"


def names_for(wanted: int) -> list[str]:
    """The first so many names; a fleet of N is always vpi-1 to vpi-N."""
    if not 1 <= wanted <= MAX_NUMBER:
        raise VirtualPiError(f"a count of {wanted} was asked for: allowed are 1 to {MAX_NUMBER}")
    return [f"vpi-{number}" for number in range(1, wanted + 1)]


def in_order(names: Iterable[str]) -> Iterator[str]:
    """Names once each, by number."""
    yield from sorted(set(names), key=number_of)
