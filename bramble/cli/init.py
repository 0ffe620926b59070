"""`bramble init`: a project for a first fleet."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bramble.cli.inventory import known_sections, say_kept, write_files

if TYPE_CHECKING:
    from bramble.starter_gateway import Gateway

# Importing pydantic is slow: what needs it is imported where it is used, so that --help is quick.

VIRTUAL_NODES = ("vpi-1", "vpi-2", "vpi-3")
"""The virtual Pis behind a gateway."""


@click.command("init")
@click.argument(
    "directory",
    default=".",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="[DIRECTORY]",
)
@click.option("--host", "hosts", multiple=True, metavar="NAME=ADDRESS", help="A Pi; repeatable.")
@click.option("--user", help="Account to log in to; default: as in ~/.ssh/config, or pi.")
@click.option("--key", help="Private key to log in with; default: the SSH agent and ~/.ssh.")
@click.option(
    "--inventory-only", is_flag=True, help="Make DIRECTORY an inventory, without a project."
)
@click.option(
    "--virtual",
    is_flag=True,
    help="Make an inventory of virtual Pis on this computer, with a demo model.",
)
@click.option(
    "--gateway",
    "gateway_said",
    metavar="NAME[=ADDRESS]",
    help="One address before all of them: on a host of its own, or on the --host NAME.",
)
def init(
    directory: Path,
    hosts: tuple[str, ...],
    user: str | None,
    key: str | None,
    inventory_only: bool,
    virtual: bool,
    gateway_said: str | None,
) -> None:
    """Make DIRECTORY (this folder by default) a project for real Pis, without overwriting anything.

    A project is inventory.py, deploys/ and a commented inventory/, in which `pyinfra inventory.py
    deploys/node.py` works, and every bramble command from any folder in it. An existing inventory/
    stays as it is.

    ADDRESS is a name, an IP address, or a host of ~/.ssh/config; a port may follow (192.168.1.41:2222,
    [fd00::1]:2222). A host whose NAME begins with pi4 or pi5 belongs to the group of that board.

    \b
    bramble init my-fleet --host pi5-a=192.168.1.41
    bramble init my-fleet --host pi5-a=192.168.1.41 --host pi5-b=192.168.1.42 --gateway gw=192.168.1.40
    bramble init my-fleet --virtual --gateway vpi-4
    bramble init my-fleet/staging --inventory-only
    """
    from bramble import starter, starter_gateway
    from bramble.project import FLEET, INVENTORY

    options = bool(hosts or user or key)
    if virtual and (options or inventory_only):
        raise click.UsageError(
            "--virtual takes no other option than --gateway: its hosts are virtual Pis"
        )
    place = directory.absolute()
    inventory = place if inventory_only else place / INVENTORY
    asked = options or inventory_only or virtual or gateway_said
    kept = (inventory / FLEET).is_file() and not asked
    made: dict[str, Any] = {}
    gateway = None
    if virtual:
        nodes, gateway = _virtual(gateway_said)
        own = starter_gateway.virtual(gateway, nodes) if gateway else {}
        made = starter.example(known_sections(), own)
    elif not kept:
        named, gateway = _before(gateway_said, hosts)
        first = starter.starter(known_sections(), named, _account(user), _key_path(key), gateway)
        made = {**first} if inventory_only else starter.inside(first)
    write_files(place, made if inventory_only else starter.project() | made)
    if kept:
        say_kept(inventory)
    elif not virtual:
        _tell_hosts(inventory, len(named))
    _tell_next(place, inventory, list(nodes) if virtual else None, gateway)


def _tell_hosts(inventory: Path, count: int) -> None:
    """Print what was written, and what must be set in it."""
    from bramble.documents.problems import shown
    from bramble.project import FLEET
    from bramble.starter import needed

    click.echo(f"wrote {shown(inventory)}: {count or 'no'} host{'' if count == 1 else 's'}")
    if not count:
        click.echo(f"next: name your Pis in {shown(inventory / FLEET)}")
    if missing := needed(known_sections()):
        click.echo(f"next: set there what has no default: {', '.join(missing)}")


def _tell_next(
    place: Path, inventory: Path, virtual: Sequence[str] | None, gateway: Gateway | None
) -> None:
    """Print how commands find the new inventory, and which to run first; `virtual` are virtual Pis."""
    from bramble import starter_gateway
    from bramble.project import VARIABLE, folder, nearest

    if not os.environ.get(VARIABLE) and nearest(place) == inventory:
        if folder() != inventory:
            click.echo(f"next: cd {place}")
    elif folder() != inventory:
        click.echo(f"next: export {VARIABLE}={inventory}")
    if gateway:
        click.echo(
            f"next: `bramble key create gateway`, and have what it prints in {starter_gateway.KEY} when "
            "you deploy"
        )
    if virtual is not None:
        click.echo(f"next: `{' '.join(['bramble virtual up', *virtual])}`, then `bramble up`")
    else:
        click.echo("next: `bramble trust HOST` for each host, then `bramble up`")
    if gateway:
        click.echo(
            f"next: `bramble key create NAME` for each client, then `bramble up {gateway.name}` and "
            f"`bramble connect {gateway.name}`"
        )


def _addresses(hosts: tuple[str, ...], option: str = "--host") -> dict[str, dict[str, str | int]]:
    """Split each NAME=[USER@]ADDRESS[:PORT] into settings of the host's ssh."""
    from bramble.inventory.consistency import HOST_NAME, is_host_name
    from bramble.settings import ADDRESS, parts
    from bramble.starter import board_of

    named: dict[str, dict[str, str | int]] = {}
    for pair in hosts:
        name, _, said = pair.partition("=")
        user, address, port = parts(said)
        if not re.search(ADDRESS, address):
            _bad(option, f"found {pair!r}, allowed: NAME=ADDRESS")
        if not is_host_name(name):
            _bad(option, f"found the name {name!r}, allowed: {HOST_NAME}")
        ssh: dict[str, str | int] = {"address": address}
        ssh |= ({"port": port} if port else {}) | ({"user": user} if user else {})
        if name in named or ssh in named.values():
            _bad(option, f"{name if name in named else said} is there twice")
        named[name] = ssh
    for name in named:
        if (group := board_of(name)) == name and any(
            board_of(n) == group for n in named if n != name
        ):
            _bad(option, f"{name} is the group of other hosts here; allowed: such as {name}-a")
    return named


def _before(
    said: str | None, pairs: tuple[str, ...]
) -> tuple[Mapping[str, dict[str, str | int]], Gateway | None]:
    """Return the hosts with that of the gateway, and the gateway where one is asked for."""
    from bramble.starter_gateway import Gateway

    named = _addresses(pairs)
    if said is None:
        return named, None
    name, has_address, _ = said.partition("=")
    if not named:
        _bad("--gateway", "there is no node for it; name one with --host NAME=ADDRESS")
    if not has_address and name not in named:
        _bad("--gateway", f"found {said!r}, allowed: NAME=ADDRESS, or the NAME of a --host")
    if has_address and name in named:
        _bad("--gateway", f"{name} is a --host: allowed is its name without an address")
    hosts = _addresses((*pairs, said), "--gateway") if has_address else named
    for host, ssh in hosts.items():
        if not _is_address(str(ssh["address"])):
            _bad(
                "--gateway",
                f"found {ssh['address']} as the address of {host}, allowed: an IP address, as the "
                "gateway asks for no names when it starts",
            )
    return hosts, Gateway(name, str(hosts[name]["address"]), not has_address)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # One of a link alone (fe80::1%eth0) is none that a list of networks can have.
    return "%" not in text


def _virtual(said: str | None) -> tuple[Mapping[str, str], Gateway | None]:
    """Return the addresses of virtual Pis by their names, and the gateway where one is asked for."""
    from bramble.starter_gateway import Gateway
    from bramble.virtual import errors, model

    if said is None:
        return {}, None
    try:
        nodes = {name: model.address_of(name) for name in (*VIRTUAL_NODES, said)}
    except errors.VirtualPiError:
        nodes = {}
    # Machines have no network among them.
    if not nodes or model.kind_of(said) != "container":
        _bad("--gateway", f"found {said!r}, allowed with --virtual: the name of one, such as vpi-4")
    return nodes, Gateway(said, nodes[said], said in VIRTUAL_NODES)


def _account(user: str | None) -> str | None:
    from bramble.settings import ACCOUNT

    if user is not None and not re.search(ACCOUNT, user):
        _bad("--user", f"found {user!r}, allowed: the name of a Linux account")
    return user


def _bad(option: str, message: str) -> NoReturn:
    raise click.BadParameter(message, param_hint=option)


def _key_path(key: str | None) -> str | None:
    """Make a key's path independent of the working directory; leave a `~` for whoever reads it."""
    return key if key is None or key.startswith("~") else str(Path(key).absolute())
