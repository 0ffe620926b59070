"""`bramble init`, `config` and `schema`: the inventory as its owner meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from bramble.inventory import Host, Inventory

# pydantic takes its time: what needs it is imported where it is used, so that --help is quick.


def refuse(message: str) -> NoReturn:
    """End the command over its usage or settings: the message on stderr, exit code 2."""
    click.echo(message, err=True)
    raise click.exceptions.Exit(2)


def loaded_inventory() -> Inventory:
    """Load the inventory, or end the command with all that is wrong with it."""
    from bramble.inventory import InventoryError, folder, load
    from bramble.registry import sections

    try:
        return load(folder(), sections())
    except InventoryError as error:
        refuse(str(error))


def tell_pins(section: str, as_json: bool) -> None:
    """Say which hosts stay at something else than a section of theirs says (on stderr beside JSON)."""
    from bramble.inventory import InventoryError, folder, load
    from bramble.registry import sections

    if not (folder() / "fleet.yml").is_file():
        return
    try:
        hosts = load(folder(), sections()).hosts
    except InventoryError:
        click.echo(
            "Which hosts are pinned cannot be told: `bramble config HOST` says why", err=True
        )
        return
    for name, host in hosts.items():
        for pinned in host.settings[section].pins(name) if section in host.settings else ():
            click.echo(pinned.sentence, err=as_json)


def existing_folder() -> Path:
    """Give the inventory's folder, or end the command where there is none."""
    from bramble.inventory import folder
    from bramble.inventory.problems import shown

    place = folder()
    if not place.is_dir():
        refuse(
            f"{shown(place)}: not found; `bramble init` makes an inventory, BRAMBLE_INVENTORY=DIR names "
            "another folder"
        )
    return place


def chosen_host(inventory: Inventory, name: str) -> Host:
    """Find a host by name, or end the command with the name that may have been meant."""
    from bramble.inventory.problems import shown, unknown

    if name in inventory.hosts:
        return inventory.hosts[name]
    file = shown(inventory.folder / "fleet.yml")
    refuse(f"no host '{name}' in {file}; {unknown(name, inventory.hosts)}")


@click.command("config")
@click.argument("host")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (`bramble schema --for config`).")
def config(host: str, as_json: bool) -> None:
    """Print each setting of HOST with the layer that it came from."""
    from bramble.inventory.effective import report, table

    found = report(chosen_host(loaded_inventory(), host))
    click.echo(found.model_dump_json(indent=2) if as_json else table(found))


@click.command("schema")
@click.option(
    "--for",
    "subject",
    type=click.Choice(["fleet", "group", "host", "config"]),
    default="fleet",
    show_default=True,
    help="fleet.yml, a file of groups/ or hosts/, or what `config --json` prints.",
)
@click.option("--write", is_flag=True, help="Write the files that editors read into the inventory.")
def schema(subject: str, write: bool) -> None:
    """Print the JSON Schema of an inventory file."""
    from bramble.inventory.effective import Report
    from bramble.inventory.problems import shown
    from bramble.inventory.schema import fleet_schema, settings_schema
    from bramble.inventory.starter import schemas
    from bramble.registry import sections

    if write:
        place = existing_folder()
        for name, text in schemas(sections()).items():
            (place / name).write_text(text, encoding="utf-8")
            click.echo(f"wrote {shown(place / name)}")
    elif subject == "config":
        click.echo(json.dumps(Report.model_json_schema(mode="serialization"), indent=2))
    else:
        made = fleet_schema if subject == "fleet" else settings_schema
        click.echo(json.dumps(made(sections()), indent=2))


@click.command("init")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--host", "hosts", multiple=True, metavar="NAME=ADDRESS", help="A Pi; repeatable.")
@click.option("--user", help="Account to log in to; else as in ~/.ssh/config, or pi.")
@click.option("--key", help="Private key to log in with; else the SSH agent and ~/.ssh.")
def init(directory: Path | None, hosts: tuple[str, ...], user: str | None, key: str | None) -> None:
    """Write a commented first inventory for real Pis to DIRECTORY, and overwrite nothing.

    DIRECTORY is the folder that BRAMBLE_INVENTORY names, or else ./inventory. ADDRESS is a name, an IP
    address, or a host of ~/.ssh/config; a port may follow (192.168.1.41:2222, [fd00::1]:2222).
    """
    from bramble.inventory.files import folder
    from bramble.inventory.problems import shown
    from bramble.inventory.starter import needed, starter, write
    from bramble.registry import sections

    named = _addresses(hosts)
    place = directory.absolute() if directory else folder()
    try:
        write(place, starter(sections(), named, _account(user), _key_path(key)))
    except FileExistsError as error:
        there = shown(Path(str(error)))
        refuse(
            f"{there} is there already and stays as it is; name another folder"
            " (`bramble init my-fleet`) and set BRAMBLE_INVENTORY to it"
        )
    click.echo(f"wrote {shown(place)}: {len(named) or 'no'} host{'' if len(named) == 1 else 's'}")
    if not named:
        click.echo(f"next: name your Pis in {shown(place / 'fleet.yml')}")
    if missing := needed(sections()):
        click.echo(f"next: set there what has no default: {', '.join(missing)}")
    if place != folder():
        click.echo(f"next: export BRAMBLE_INVENTORY={place}")
    click.echo("next: `bramble trust HOST` for each host, then `bramble up`")


def _addresses(hosts: tuple[str, ...]) -> dict[str, dict[str, str | int]]:
    """Take each NAME=[USER@]ADDRESS[:PORT] apart: the settings of each host's ssh."""
    from bramble.inventory.consistency import HOST_NAME, is_host_name
    from bramble.settings import ADDRESS, parts

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
    return named


def _account(user: str | None) -> str | None:
    from bramble.settings import ACCOUNT

    if user is not None and not re.search(ACCOUNT, user):
        _bad("--user", f"found {user!r}, allowed: the name of a Linux account")
    return user


def _bad(option: str, message: str) -> NoReturn:
    raise click.BadParameter(message, param_hint=option)


def _key_path(key: str | None) -> str | None:
    """Make a key's path independent of the working directory, and leave a `~` for the reader."""
    return key if key is None or key.startswith("~") else str(Path(key).absolute())


commands = (init, config, schema)
