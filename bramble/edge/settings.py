"""Settings that all ways in share: where clients are met, which of them, and how many."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import AfterValidator

from bramble.settings import Section, option

# What a home or an office has: private networks (RFC 1918, RFC 4193), and a link's own addresses.
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")
SIGNS = r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$"


def bracketed(address: str) -> str:
    """Return an address as it is written before a port."""
    return f"[{address}]" if ":" in address else address


def _network(text: str) -> str:
    """Take a network as its own first address and length: 192.168.1.40/24 is a host's, and wrong."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        advice = "write a network, such as 192.168.1.0/24, or one address"
        raise ValueError(f"{error}; {advice}") from error


def _address(text: str) -> str:
    """Take one address of the node."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(f"{error}; write one address of the node, without its network") from error


class Limits(Section):
    """What meets clients of the network."""

    port: int | None = option(None, help="TCP port.", ge=1024, le=65535)
    address: Annotated[str, AfterValidator(_address)] | None = option(
        None,
        help="The only address of the node to listen on; not set: every one, IPv4 and IPv6.",
        example="192.168.1.41",
    )
    name: str | None = option(
        None,
        help="Name by which clients call the node, which its certificate has; not set: the host's.",
        example="pi5-a.home.arpa",
        pattern=SIGNS,
    )
    allow: tuple[Annotated[str, AfterValidator(_network)], ...] = option(
        PRIVATE,
        help="Networks whose clients may use the model, with a key; default: private ones.",
        example=["192.168.1.0/24"],
    )
    body_bytes: int = option(
        2_000_000, help="Largest request.", unit="bytes", ge=1000, le=100_000_000
    )
    requests_per_minute: int = option(
        600, help="Requests of one key in a minute.", ge=1, le=1_000_000
    )
    at_once: int = option(8, help="Requests of one key at the same time.", ge=1, le=1000)
    queue: int = option(
        8,
        help="Requests that wait for a slot; one more is told to come again later.",
        ge=0,
        le=1000,
    )
    connections_per_address: int = option(
        128, help="Connections of one address at the same time.", ge=1, le=1000
    )


@runtime_checkable
class ExposedSettings(Protocol):
    """What a gateway asks of the settings of a node that serves."""

    @property
    def expose(self) -> Literal["local", "lan", "tls"]:
        """Who may use the model."""

    @property
    def edge(self) -> Limits:
        """What meets clients, where they are let in."""

    @property
    def edge_port(self) -> int:
        """The port that they connect to."""

    @property
    def slots(self) -> int:
        """Conversations of a model at once."""

    @property
    def models_at_once(self) -> int:
        """How many models may be loaded at the same time."""

    @property
    def idle_unload_s(self) -> int | None:
        """After how long without a request a model gives its memory back; None: never."""

    @property
    def task(self) -> str:
        """What its models are for."""

    @property
    def question(self) -> str:
        """What they are asked."""

    @property
    def expect(self) -> str | None:
        """What the answer of the first model must have; None where any will do."""

    @property
    def also_expect(self) -> Mapping[str, str]:
        """The same of the further models, by the names that model.also has for them."""

    @property
    def dimensions(self) -> int | None:
        """Numbers that a vector must have; None: as many as the model is wide."""
