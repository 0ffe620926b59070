"""What a virtual Pi is called, where it answers and what is known of it.

The name says the kind: vpi-N is a container with an address of its own, vpm-N a machine whose SSH
is forwarded to a port of this machine's loopback.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from bramble.virtual import releases
from bramble.virtual.errors import VirtualPiError

NETWORK = "10.77.0"
GATEWAY = f"{NETWORK}.1"
PREFIX_BITS = 24
FIRST_HOST = 10
MAX_NUMBER = 240
LOOPBACK = "127.0.0.1"
SSH_PORT = 22
MACHINE_PORTS = 2200
MAX_MACHINE = 99

State = Literal["running", "stopped"]
Kind = Literal["container", "machine"]

PREFIXES: dict[Kind, str] = {"container": "vpi", "machine": "vpm"}
_LIMITS: dict[Kind, int] = {"container": MAX_NUMBER, "machine": MAX_MACHINE}
_NAME = re.compile(r"(vpi|vpm)-([1-9][0-9]{0,2})")


@dataclass(frozen=True)
class VirtualNode:
    """One virtual Pi as `bramble virtual list` shows it."""

    name: str
    address: str
    board: str
    fault: str | None
    state: State
    pid: int | None
    uptime: float | None
    """Seconds since its last boot."""
    kind: Kind = "container"
    port: int = SSH_PORT
    """Where its SSH answers at that address."""
    release: str = releases.DEFAULT


def is_name(name: str) -> bool:
    """Return whether this has the form of a node's name."""
    return bool(_NAME.fullmatch(name))


def kind_of(name: str) -> Kind:
    """Return the kind that a node's name stands for."""
    return "machine" if name.startswith(PREFIXES["machine"]) else "container"


def number_of(name: str) -> int:
    """Return the number in a node's name; the name's form is checked here and nowhere else."""
    found = _NAME.fullmatch(name)
    if not found or int(found[2]) > _LIMITS[kind_of(name)]:
        raise VirtualPiError(
            f"{name!r} is no name of a virtual Pi: allowed are vpi-1 to vpi-{MAX_NUMBER}, "
            f"and vpm-1 to vpm-{MAX_MACHINE} for machines"
        )
    return int(found[2])


def address_of(name: str) -> str:
    """Return where a node answers: vpi-N at 10.77.0.(10+N), every machine at the loopback."""
    number = number_of(name)
    return LOOPBACK if kind_of(name) == "machine" else f"{NETWORK}.{FIRST_HOST + number}"


def port_of(name: str) -> int:
    """Return at which port: vpm-N at 2200+N, a container at SSH's own."""
    number = number_of(name)
    return MACHINE_PORTS + number if kind_of(name) == "machine" else SSH_PORT


def names_for(wanted: int, kind: Kind = "container") -> list[str]:
    """Return the first so many names; a fleet of N is always vpi-1 to vpi-N."""
    limit = _LIMITS[kind]
    if not 1 <= wanted <= limit:
        raise VirtualPiError(f"a count of {wanted} was asked for: allowed are 1 to {limit}")
    return [f"{PREFIXES[kind]}-{number}" for number in range(1, wanted + 1)]


def up_command(name: str) -> str:
    """Return the command that makes or starts a node of this name."""
    option = "--machine " if kind_of(name) == "machine" else ""
    return f"bramble virtual up {option}{name}"


def in_order(names: Iterable[str]) -> Iterator[str]:
    """Yield names once each, containers before machines, by number."""
    yield from sorted(set(names), key=lambda name: (kind_of(name), number_of(name)))
