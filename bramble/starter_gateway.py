"""A gateway in a first inventory: its host, and the group of the nodes behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

GROUP = "behind"
"""The group of the nodes that a gateway leads to."""

_BEHIND = """\
# Settings of the nodes behind {name}: clients ask the gateway, and it alone asks them.

serving:
  expose: lan
  edge:
    allow: [{address}]
"""
_SECTION = """\
    gateway:
      # Where the gateway's own key is: `bramble key create gateway` prints it once.
      secrets:
        node_key:
          environment: GATEWAY_KEY
"""
_VIRTUAL = """\
# A gateway before virtual Pis, so that it can be tried without a Pi.
#
#   bramble key create gateway     # prints a key: export GATEWAY_KEY=brk_...
#   bramble virtual up {names}
#   bramble up
#
# `bramble init my-fleet --host NAME=ADDRESS --gateway NAME=ADDRESS` writes an inventory for real Pis.

hosts:
{hosts}"""


@dataclass(frozen=True)
class Gateway:
    """The host of a gateway; `is_node` says whether it serves a model too."""

    name: str
    address: str
    is_node: bool

    def groups_of(self, host: str) -> tuple[str, ...]:
        """Return the groups that a host is in because of the gateway."""
        return (GROUP,) if host != self.name or self.is_node else ()

    def settings_of(self, host: str) -> str:
        """Return the lines that a host's entry has because of the gateway."""
        if host != self.name:
            return ""
        alone = "" if self.is_node else "    node:\n      roles: [base, gateway, firewall]\n"
        return alone + _SECTION

    def group_file(self) -> Mapping[str, str]:
        """Return the settings of the nodes behind it, by their file in an inventory."""
        text = _BEHIND.format(name=self.name, address=json.dumps(self.address))
        return {f"groups/{GROUP}.yml": text}


def virtual(gateway: Gateway, nodes: Mapping[str, str]) -> Mapping[str, str]:
    """Return the files of an inventory of virtual Pis behind a gateway that differ from the shipped one.

    `nodes` are the addresses of all of them by their names, the gateway's too.
    """
    hosts = []
    for name, address in nodes.items():
        groups = ", ".join(("virtual", *gateway.groups_of(name)))
        entry = f"  {name}:\n    groups: [{groups}]\n    ssh:\n      address: {address}\n"
        own = gateway.settings_of(name)
        is_alone = "    node:\n" in own
        own = own.replace("    node:\n", "    node:\n      virtual: true\n")
        hosts.append(entry + ("" if is_alone else "    node:\n      virtual: true\n") + own)
    text = _VIRTUAL.format(names=" ".join(nodes), hosts="\n".join(hosts))
    return {"fleet.yml": text, **gateway.group_file()}
