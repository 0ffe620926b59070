"""`bramble config` and `schema`, and how every command loads the inventory."""

from __future__ import annotations

import json
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
        say_kept(place / name)


def say_kept(path: Path) -> None:
    """Print that a file or an inventory is there, and is not written."""
    from bramble.documents.problems import shown

    click.echo(f"{shown(path)} is there already and stays as it is")
