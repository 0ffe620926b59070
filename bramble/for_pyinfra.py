"""The fleet as pyinfra's inventory: hosts with their groups and the data that its SSH connector reads.

pyinfra looks all connectors up again for each name that an inventory file gives, so the file gives one
name for all of the fleet: `@bramble/FOLDER`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bramble import sudo_password
from bramble.documents.problems import InventoryError
from bramble.fleet import load
from bramble.inventory import presence
from bramble.inventory.headline import headline
from bramble.inventory.load import Host, Inventory
from bramble.project import INVENTORY, VARIABLE, folder
from bramble.settings import SshSettings
from bramble.ssh import known_hosts
from bramble.ssh.config import ConfigError, target
from bramble.sudo_password import PasswordError

NameData = tuple[str, dict[str, Any], list[str]]
"""A host's name, its data and its groups, as a connector of pyinfra's gives them."""

_prepared: dict[str, list[NameData]] = {}


def groups_or_exit(entry: str) -> dict[str, list[str]]:
    """Load the fleet for an inventory.py; problems end pyinfra with code 2 before it connects.

    That is the fleet beside `entry`, wherever pyinfra was started, unless BRAMBLE_INVENTORY names
    another; the whole run uses it.
    """
    if not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = str(Path(entry).absolute().parent / INVENTORY)
    try:
        sudo_password.take()
        sudo_password.command()
        inventory = load(folder())
    except (InventoryError, PasswordError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    absent = presence.absent(inventory.hosts)
    try:
        hosts = hosts_for_pyinfra(inventory, absent)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if len(absent) == len(inventory.hosts):
        print(f"No host is there: {presence.sentence(absent)}.", file=sys.stderr)
        sys.exit(2)
    there = [name for name in inventory.hosts if name not in absent]
    print(headline(inventory, there), file=sys.stderr)
    _prepared[str(inventory.folder)] = hosts
    return {"fleet": [f"@bramble/{inventory.folder}"]}


def prepared(folder: str) -> list[NameData]:
    """Return the hosts that `groups_or_exit` found; raise LookupError where it did not run."""
    return _prepared[folder]


def hosts_for_pyinfra(inventory: Inventory, absent: Collection[str] = ()) -> list[NameData]:
    """Return every host that is not absent with its data and its groups."""
    return [
        (name, _data(host), [g for g, names in inventory.groups.items() if name in names])
        for name, host in inventory.hosts.items()
        if name not in absent
    ]


def _data(host: Host) -> dict[str, Any]:
    data = {"_sudo": True, "bramble": host.values}
    ssh = host.settings.get("ssh")
    return data | _connection(ssh) if isinstance(ssh, SshSettings) else data


def _connection(ssh: SshSettings) -> dict[str, Any]:
    """Name pyinfra's SSH data (pyinfra/connectors/ssh.py); with a key, it tries no agent.

    The address is as it was written: pyinfra looks it up in ~/.ssh/config again, for jumps and keys.
    """
    there = target(ssh)
    data: dict[str, Any] = {
        "ssh_hostname": ssh.address,
        "ssh_port": there.port,
        "ssh_user": there.user,
        "ssh_known_hosts_file": str(known_hosts.for_pyinfra(ssh.known_hosts)),
        # pyinfra's own default, accept-new, would trust any host that answers first.
        "ssh_strict_host_key_checking": "yes",
        # pyinfra's CONNECT_TIMEOUT is one for the whole fleet.
        "ssh_paramiko_connect_kwargs": {"timeout": ssh.connect_timeout_s},
    }
    return data if ssh.key is None else data | {"ssh_key": str(ssh.key)}
