"""Settings of the role firewall."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bramble.settings import Section, option

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(Section):
    """nftables: who reaches the node, before any program there reads a byte."""

    # What is fenced is what serving exposes.
    uses: ClassVar[tuple[str, ...]] = ("serving",)

    mode: Literal["off", "fence", "deny"] = option(
        "fence",
        help="fence: the ports that serving and gateway expose are for their serving.edge.allow and "
        "gateway.allow alone, all else is as it was; deny: besides, whatever is not SSH, "
        "firewall.ports, DHCP, mDNS or ICMP is dropped.",
    )
    ssh_ports: Annotated[tuple[Port, ...], Field(min_length=1)] = option(
        (22,), help="TCP ports of the node's SSH server, with deny.", example=[22]
    )
    ports: tuple[Port, ...] = option(
        (), help="More TCP ports that everybody may reach, with deny.", example=[9100]
    )
