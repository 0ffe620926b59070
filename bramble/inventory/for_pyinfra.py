"""The fleet as pyinfra's inventory: lists of hosts with data that its SSH connector reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bramble.inventory import presence
from bramble.inventory.headline import headline
from bramble.inventory.load import Host, Inventory, load
from bramble.inventory.problems import InventoryError
from bramble.project import INVENTORY, VARIABLE, folder
from bramble.registry import sections
from bramble.settings import Ssh
from bramble.ssh import known_hosts
from bramble.ssh.config import ConfigError, target

Groups = dict[str, list[tuple[str, dict[str, Any]]]]


def groups_or_exit(entry: str) -> Groups:
    """Load the fleet for an inventory.py; problems end pyinfra with code 2 before it connects.

    The fleet beside `entry` is meant, from wherever pyinfra was started, unless BRAMBLE_INVENTORY names
    another; all of this run goes by it.
    """
    if not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = str(Path(entry).absolute().parent / INVENTORY)
    try:
        inventory = load(folder(), sections())
    except InventoryError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    absent = presence.absent(inventory.hosts)
    try:
        groups = pyinfra_groups(inventory, absent)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if len(absent) == len(inventory.hosts):
        print(f"No host is there: {presence.sentence(absent)}.", file=sys.stderr)
        sys.exit(2)
    there = [name for name in inventory.hosts if name not in absent]
    print(headline(inventory, there), file=sys.stderr)
    return groups


def pyinfra_groups(inventory: Inventory, absent: Collection[str] = ()) -> Groups:
    """Give every group, and `all`, as pyinfra takes them: (host, data) of each that is not absent.

    `@bramble/` has pyinfra connect to them by `bramble/pyinfra/connector.py`.
    """
    data = {name: _data(host) for name, host in inventory.hosts.items() if name not in absent}
    members = {"all": tuple(inventory.hosts), **inventory.groups}
    return {
        group: [(f"@bramble/{name}", data[name]) for name in names if name in data]
        for group, names in members.items()
    }


def _data(host: Host) -> dict[str, Any]:
    data = {"_sudo": True, "bramble": host.values}
    ssh = host.settings.get("ssh")
    return data | _connection(ssh) if isinstance(ssh, Ssh) else data


def _connection(ssh: Ssh) -> dict[str, Any]:
    """Name pyinfra's SSH data (pyinfra/connectors/ssh.py); with a key, it tries no agent.

    The address is as it was written: pyinfra looks it up in ~/.ssh/config again, for jumps and keys.
    """
    there = target(ssh)
    data: dict[str, Any] = {
        "ssh_hostname": ssh.address,
        "ssh_port": there.port,
        "ssh_user": there.user,
        "ssh_known_hosts_file": str(known_hosts.for_pyinfra(ssh.known_hosts)),
        # pyinfra's own default, accept-new, would trust whoever answers first.
        "ssh_strict_host_key_checking": "yes",
        # pyinfra's CONNECT_TIMEOUT is one for the whole fleet.
        "ssh_paramiko_connect_kwargs": {"timeout": ssh.connect_timeout_s},
    }
    return data if ssh.key is None else data | {"ssh_key": str(ssh.key)}
