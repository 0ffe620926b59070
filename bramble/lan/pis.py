"""Find the Raspberry Pis of this computer's network: neighbours, and what answers to a question."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bramble import computer
from bramble.lan import mdns
from bramble.lan.mdns import PTR, A, Record
from bramble.lan.neighbours import is_pi, neighbours

IMAGE_NAME = "raspberrypi"
"""The name of an image that nobody gave another one."""

LOCAL = ".local"
_DISCARD = 9
_SERVICES = ("_ssh._tcp.local", "_sftp-ssh._tcp.local", "_workstation._tcp.local")

Ask = Callable[[Sequence[tuple[str, int]]], Mapping[str, Sequence[Record]]]


@dataclass(frozen=True)
class Pi:
    """A board that was found: its address, hardware address and name, the last two empty if unknown."""

    address: str
    mac: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """The first part of its name, empty where it has none of its own."""
        found = self.name.partition(".")[0]
        return "" if found.startswith(IMAGE_NAME) else found


def find(
    ask: Ask = mdns.ask,
    table: Callable[[], str] = computer.neighbours,
    knock: Callable[[], None] | None = None,
) -> list[Pi]:
    """Return the boards of the network in the order of their addresses.

    Every address of the network is knocked at first, so that the table of neighbours has who is there.
    """
    (knock or knock_at_all)()
    heard = ask([(f"{IMAGE_NAME}{LOCAL}", A), *((name, PTR) for name in _SERVICES)])
    macs = neighbours(table())
    named = names(heard)
    boards = {address for address, mac in macs.items() if is_pi(mac)}
    nameless = sorted(boards - named.keys())
    if nameless:
        named |= names(ask([(mdns.reverse(address), PTR) for address in nameless]), boards)
    boards |= {
        address
        for address, name in named.items()
        if name.startswith(IMAGE_NAME) and address not in macs
    }
    found = (Pi(address, macs.get(address, ""), named.get(address, "")) for address in boards)
    return sorted(found, key=lambda pi: ipaddress.ip_address(pi.address))


def names(heard: Mapping[str, Sequence[Record]], only: set[str] | None = None) -> dict[str, str]:
    """Return the name of each host that answered, by its address."""
    found: dict[str, str] = {}
    for address, records in heard.items():
        for record in records:
            if record.kind == A and record.name.endswith(LOCAL) and record.value == address:
                found[address] = record.name
            elif record.kind == PTR and record.name == mdns.reverse(address):
                found.setdefault(address, record.value)
    return found if only is None else {key: name for key, name in found.items() if key in only}


def knock_at_all() -> None:
    """Send an empty datagram to each address beside this computer's own, which asks who has it."""
    own = own_address()
    if own is None:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.setblocking(False)
        for address in ipaddress.ip_network(f"{own}/24", strict=False).hosts():
            try:
                there.sendto(b"", (str(address), _DISCARD))
            except OSError:
                # One that cannot be reached, or a full queue: others may still be heard.
                continue


def own_address() -> str | None:
    """Return this computer's address on a private network, None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        try:
            # Nothing is sent: the kernel says which way it would go.
            there.connect(mdns.GROUP)
        except OSError:
            return None
        own = ipaddress.ip_address(there.getsockname()[0])
    return str(own) if own.is_private and not own.is_loopback and not own.is_link_local else None
