"""Which hosts are there to be reached: a virtual Pi of this computer is while it is up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bramble.inventory.load import Host
from bramble.settings import PORT, NodeSettings, SshSettings


def absent(hosts: Mapping[str, Host]) -> tuple[str, ...]:
    """Name the hosts that are virtual Pis (`node.virtual`) and are not up."""
    virtual = {name: _address(host) for name, host in hosts.items() if _is_virtual(host)}
    if not virtual:
        return ()
    from bramble.virtual import nodes

    up = {(node.address, node.port) for node in nodes() if node.state == "running"}
    return tuple(name for name, address in virtual.items() if address not in up)


def _is_virtual(host: Host) -> bool:
    node = host.settings.get("node")
    return isinstance(node, NodeSettings) and node.virtual


def _address(host: Host) -> tuple[str, int]:
    ssh = host.settings["ssh"]
    assert isinstance(ssh, SshSettings)
    return ssh.address, ssh.port or PORT


def sentence(names: Sequence[str]) -> str:
    """Say how to start absent hosts."""
    from bramble.virtual.model import is_name, up_command

    commands = " or ".join(f"'{up_command(name)}'" for name in names if is_name(name))
    are = "is a virtual Pi that is" if len(names) == 1 else "are virtual Pis that are"
    starts = f": {commands} starts {'it' if len(names) == 1 else 'one'}" if commands else ""
    return f"{', '.join(names)} {are} not up{starts}"
