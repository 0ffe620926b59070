"""`bramble init`, `config` and `schema`, and how every command loads the inventory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bramble.cli.options import HOST
from bramble.cli.terminal import width

if TYPE_CHECKING:
    from bramble.inventory.choice import Sections
    from bramble.inventory.load import Host, Inventory
    from bramble.plan import Outputs

# Importing pydantic is slow: what needs it is imported where it is used, so that --help is quick.


def refuse(message: str) -> NoReturn:
    """End the command because of its usage or settings: the message on stderr, exit code 2."""
    click.echo(message, err=True)
    raise click.exceptions.Exit(2)


def loaded_inventory() -> Inventory:
    """Load the inventory, or end the command with every problem in it."""
    from bramble.documents.problems import InventoryError
    from bramble.fleet import load
    from bramble.project import folder

    try:
        return load(folder())
    except InventoryError as error:
        refuse(str(error))


def known_sections() -> Sections:
    """Return the sections of settings, or end the command with what is wrong with a role."""
    from bramble.documents.problems import InventoryError
    from bramble.registry import sections

    try:
        return sections()
    except InventoryError as error:
        refuse(str(error))


def tell_folder() -> None:
    """Print on standard error which inventory a command without a headline uses, if there is one."""
    from bramble.project import folder

    if (place := folder()).is_dir():
        click.echo(f"Inventory {place}", err=True)


def tell_pins(kind: type[Outputs], as_json: bool) -> None:
    """Print the pins of the role that gives this kind, for all hosts (on stderr beside JSON)."""
    from bramble.documents.problems import InventoryError
    from bramble.fleet import load
    from bramble.prepared import prepared_sections
    from bramble.project import folder
    from bramble.registry import giving

    if not (folder() / "fleet.yml").is_file():
        return
    try:
        hosts = load(folder()).hosts
    except InventoryError:
        click.echo("Which hosts are pinned is unknown: `bramble config HOST` says why", err=True)
        return
    section = giving(kind).name
    for name, host in hosts.items():
        parts = prepared_sections(host.settings)
        if section in parts:
            for pinned in parts[section].pins(name, host.prepared):
                click.echo(pinned.sentence, err=as_json)


def existing_folder() -> Path:
    """Return the inventory's folder, or end the command where there is none."""
    from bramble.documents.problems import shown
    from bramble.project import folder

    place = folder()
    if not place.is_dir():
        refuse(
            f"{shown(place)}: not found; `bramble init` makes a project, BRAMBLE_INVENTORY=DIR names "
            "another folder"
        )
    return place


def chosen_host(inventory: Inventory, name: str) -> Host:
    """Return a host by name, or end the command with the closest name."""
    from bramble.documents.problems import shown, unknown

    if name in inventory.hosts:
        return inventory.hosts[name]
    if name in inventory.groups:
        its = ", ".join(inventory.groups[name]) or "it has none"
        refuse(f"'{name}' is a group, and this takes one host; the group's hosts: {its}")
    file = shown(inventory.folder / "fleet.yml")
    refuse(f"no host '{name}' in {file}; {unknown(name, inventory.hosts)}")


@click.command("config")
@HOST
@click.option("--json", "as_json", is_flag=True, help="Print JSON (`bramble schema --for config`).")
def config(host: str, as_json: bool) -> None:
    """Print each setting of HOST with the file and line that set it.

    \b
    bramble config pi5-a
    bramble config pi5-a --json
    """
    from bramble.inventory.effective import report, table

    found = report(chosen_host(loaded_inventory(), host))
    tell_folder()
    click.echo(found.model_dump_json(indent=2) if as_json else table(found, width()))


@click.command("schema")
@click.option(
    "--for",
    "subject",
    type=click.Choice(["fleet", "group", "host", "config", "results", "audit", "status", "usage"]),
    default="fleet",
    show_default=True,
    help="fleet.yml, a file of groups/ or hosts/, or what `config --json`, `verify --json`, "
    "`audit --json`, `status --json` or `usage --json` prints.",
)
@click.option("--write", is_flag=True, help="Write the schemas into the inventory, for editors.")
def schema(subject: str, write: bool) -> None:
    """Print the JSON Schema of an inventory file, or of what a command prints.

    \b
    bramble schema --write
    bramble schema --for host
    """
    from bramble.audit.result import Audit
    from bramble.documents.problems import shown
    from bramble.inventory.effective import Report
    from bramble.inventory.schema import fleet_schema, settings_schema
    from bramble.starter import schemas
    from bramble.status.result import FleetStatus
    from bramble.usage.sums import Usage

    if write:
        place = existing_folder()
        for name, text in schemas(known_sections()).items():
            (place / name).write_text(text, encoding="utf-8")
            click.echo(f"wrote {shown(place / name)}")
    elif subject in ("config", "audit", "status", "usage"):
        several = {"config": Report, "audit": Audit, "status": FleetStatus, "usage": Usage}
        printed: Any = several[subject]
        click.echo(json.dumps(printed.model_json_schema(mode="serialization"), indent=2))
    elif subject == "results":
        from bramble.reporting import json_text

        click.echo(json.dumps(json_text.schema(), indent=2))
    else:
        made = fleet_schema if subject == "fleet" else settings_schema
        click.echo(json.dumps(made(known_sections()), indent=2))


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
def init(
    directory: Path,
    hosts: tuple[str, ...],
    user: str | None,
    key: str | None,
    inventory_only: bool,
    virtual: bool,
) -> None:
    """Make DIRECTORY (this folder by default) a project for real Pis, without overwriting anything.

    A project is inventory.py, deploys/ and a commented inventory/, in which `pyinfra inventory.py
    deploys/node.py` works, and every bramble command from any folder in it. An existing inventory/
    stays as it is.

    ADDRESS is a name, an IP address, or a host of ~/.ssh/config; a port may follow (192.168.1.41:2222,
    [fd00::1]:2222). A host whose NAME begins with pi4 or pi5 belongs to the group of that board.

    \b
    bramble init my-fleet --host pi5-a=192.168.1.41
    bramble init my-fleet/staging --inventory-only
    """
    from bramble import starter
    from bramble.project import FLEET, INVENTORY

    named, options = _addresses(hosts), bool(hosts or user or key)
    if virtual and (options or inventory_only):
        raise click.UsageError("--virtual takes no other option: its hosts are virtual Pis")
    place = directory.absolute()
    inventory = place if inventory_only else place / INVENTORY
    kept = (inventory / FLEET).is_file() and not (options or inventory_only or virtual)
    made: dict[str, Any] = {}
    if virtual:
        made = starter.example(known_sections())
    elif not kept:
        first = starter.starter(known_sections(), named, _account(user), _key_path(key))
        made = {**first} if inventory_only else starter.inside(first)
    write_files(place, made if inventory_only else starter.project() | made)
    if kept:
        _say_kept(inventory)
    elif not virtual:
        _tell_hosts(inventory, len(named))
    _tell_next(place, inventory, virtual)


def write_files(place: Path, files: Mapping[str, str | bytes]) -> None:
    """Write a project's or an inventory's files, or end the command where that would overwrite one."""
    from bramble.documents.problems import shown
    from bramble.starter import write

    try:
        left = write(place, files)
    except FileExistsError as error:
        refuse(
            f"{shown(Path(str(error)))} is there already and stays as it is; name another folder"
            " (`bramble init my-fleet`)"
        )
    for name in left:
        _say_kept(place / name)


def _say_kept(path: Path) -> None:
    from bramble.documents.problems import shown

    click.echo(f"{shown(path)} is there already and stays as it is")


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


def _tell_next(place: Path, inventory: Path, virtual: bool) -> None:
    """Print how commands find the new inventory, and which to run first."""
    from bramble.project import VARIABLE, folder, nearest

    if not os.environ.get(VARIABLE) and nearest(place) == inventory:
        if folder() != inventory:
            click.echo(f"next: cd {place}")
    elif folder() != inventory:
        click.echo(f"next: export {VARIABLE}={inventory}")
    if virtual:
        click.echo("next: `bramble virtual up`, then `bramble up`")
    else:
        click.echo("next: `bramble trust HOST` for each host, then `bramble up`")


def _addresses(hosts: tuple[str, ...]) -> dict[str, dict[str, str | int]]:
    """Split each NAME=[USER@]ADDRESS[:PORT] into settings of the host's ssh."""
    from bramble.inventory.consistency import HOST_NAME, is_host_name
    from bramble.settings import ADDRESS, parts
    from bramble.starter import board_of

    named: dict[str, dict[str, str | int]] = {}
    for pair in hosts:
        name, _, said = pair.partition("=")
        user, address, port = parts(said)
        if not re.search(ADDRESS, address):
            _bad("--host", f"found {pair!r}, allowed: NAME=ADDRESS")
        if not is_host_name(name):
            _bad("--host", f"found the name {name!r}, allowed: {HOST_NAME}")
        ssh: dict[str, str | int] = {"address": address}
        ssh |= ({"port": port} if port else {}) | ({"user": user} if user else {})
        if name in named or ssh in named.values():
            _bad("--host", f"{name if name in named else said} is there twice")
        named[name] = ssh
    for name in named:
        if (group := board_of(name)) == name and any(
            board_of(n) == group for n in named if n != name
        ):
            _bad("--host", f"{name} is the group of other hosts here; allowed: such as {name}-a")
    return named


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
