"""One question to the hosts of the network by multicast DNS (RFC 6762), as a one-shot resolver asks it.

Answers come from strangers: what is not a whole message of DNS is dropped.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bramble.sanitize import sanitize

GROUP = ("224.0.0.251", 5353)
WAIT_S = 3.0
A, PTR = 1, 12
_IN = 1
_LARGEST = 9000
_MOST_RECORDS = 200
_MOST_JUMPS = 20
_LONGEST_NAME = 253


@dataclass(frozen=True)
class Record:
    """One answer: a name, its kind (A or PTR), and the address or name that it has."""

    name: str
    kind: int
    value: str


def question(names: Sequence[tuple[str, int]]) -> bytes:
    """Return a message that asks for names, each with its kind of record."""
    asked = b"".join(
        _encoded(name) + kind.to_bytes(2, "big") + _IN.to_bytes(2, "big") for name, kind in names
    )
    return b"\0\0\0\0" + len(names).to_bytes(2, "big") + b"\0" * 6 + asked


def records(message: bytes) -> list[Record]:
    """Return the answers in a message that are of use; none where it is damaged or a question."""
    try:
        return _records(message)
    except (IndexError, ValueError):
        return []


def reverse(address: str) -> str:
    """Return the name under which a host gives its own name."""
    return ipaddress.ip_address(address).reverse_pointer


def ask(
    names: Sequence[tuple[str, int]],
    *,
    group: tuple[str, int] = GROUP,
    wait_s: float = WAIT_S,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, list[Record]]:
    """Return what hosts answer meanwhile, by their addresses; nothing without a network."""
    found: dict[str, list[Record]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        end = clock() + wait_s
        try:
            there.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            there.sendto(question(names), group)
            while (left := end - clock()) > 0:
                there.settimeout(left)
                message, (address, _) = there.recvfrom(_LARGEST)
                found.setdefault(address, []).extend(records(message))
        except TimeoutError:
            return found
        except OSError:
            # No network, or none that carries multicast: the table of neighbours is left.
            return found
    return found


def _encoded(name: str) -> bytes:
    labels = [label.encode("idna" if not label.isascii() else "ascii") for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _records(message: bytes) -> list[Record]:
    flags, asked = _number(message, 2), _number(message, 4)
    if not flags & 0x8000:
        return []
    count = sum(_number(message, at) for at in (6, 8, 10))
    at, found = 12, []
    for _ in range(asked):
        at = _name(message, at)[1] + 4
    for _ in range(min(count, _MOST_RECORDS)):
        name, at = _name(message, at)
        kind, size, start = _number(message, at), _number(message, at + 8), at + 10
        at = start + size
        if at > len(message):
            raise ValueError("a record is cut off")
        if kind == A and size == 4:
            found.append(Record(name, A, str(ipaddress.IPv4Address(message[start:at]))))
        elif kind == PTR:
            found.append(Record(name, PTR, _name(message, start)[0]))
    return found


def _number(message: bytes, at: int) -> int:
    if len(message) < at + 2:
        raise ValueError("the message is cut off")
    return int.from_bytes(message[at : at + 2], "big")


def _name(message: bytes, at: int) -> tuple[str, int]:
    """Return the name at a place, and where what follows it begins."""
    labels: list[str] = []
    end = None
    for _ in range(_MOST_JUMPS + _LONGEST_NAME):
        size = message[at]
        if size == 0:
            name = ".".join(labels)
            if len(name) > _LONGEST_NAME:
                raise ValueError("a name is too long")
            return sanitize(name).lower(), at + 1 if end is None else end
        if size & 0xC0 == 0xC0:
            end = at + 2 if end is None else end
            at = _number(message, at) & 0x3FFF
        elif size & 0xC0 or at + 1 + size > len(message):
            raise ValueError("a name is cut off")
        else:
            labels.append(message[at + 1 : at + 1 + size].decode("utf-8", "replace"))
            at += 1 + size
    raise ValueError("a name goes in circles")
