"""A gateway in a first inventory: its host, and the group of the nodes behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

GROUP = "behind"
"""The group of the nodes that a gateway leads to."""

KEY = "GATEWAY_KEY"
"""The variable that has the gateway's own key at a deploy."""

_BEHIND = """\
# Settings of the nodes behind {name}: clients ask the gateway, and it alone asks them.

serving:
  expose: lan
  edge:
    allow: [{address}]
"""
_SECTION = f"""\
    gateway:
      # Where the gateway's own key is: `bramble key create gateway` prints it once.
      secrets:
        node_key:
          environment: {KEY}
"""
_VIRTUAL = """\
# A gateway before virtual Pis, so that it can be tried without a Pi.
#
#   bramble key create gateway     # prints a key: export {key}=brk_...
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

    def settings_of(self, host: str, *, virtual: bool = False) -> str:
        """Return the lines of a host's entry below its address."""
        is_here = host == self.name
        node = ["virtual: true"] if virtual else []
        node += ["roles: [base, gateway, firewall]"] if is_here and not self.is_node else []
        lines = "".join(f"      {line}\n" for line in node)
        return (f"    node:\n{lines}" if lines else "") + (_SECTION if is_here else "")

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
        hosts.append(entry + gateway.settings_of(name, virtual=True))
    text = _VIRTUAL.format(key=KEY, names=" ".join(nodes), hosts="\n".join(hosts))
    return {"fleet.yml": text, **gateway.group_file()}
