"""`bramble key`: who may use the models of the fleet, by a key that is shown once and kept nowhere."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import secret
from bramble.cli.inventory import existing_folder, refuse, tell_folder
from bramble.cli.options import AS_JSON

if TYPE_CHECKING:
    from bramble.access.keys import Client, Hash

NEXT = "`bramble up` brings it to the nodes."

Given = tuple[str, bool]
"""A key, and whether it was made here: only such a one is shown."""


@click.group("key")
def key() -> None:
    """Create, list, rotate and revoke the keys of clients.

    A key opens every model of the fleet that serving.expose lets clients use. The inventory's
    keys.lock holds the sha256 of each, and nodes get nothing else.
    """


@key.command("create")
@click.argument("name")
@secret.sources("the key", "pass show llm")
def create(name: str, **sources: Any) -> None:
    """Give the client NAME a key, and print it: once, as it is kept nowhere.

    \b
    bramble key create laptop
    bramble key create phone --from-command 'pass show llm/phone'
    """
    from bramble.access.keys import NAME, NAMES, Client

    folder, clients = _clients()
    if not NAME.fullmatch(name):
        refuse(f"the client's name {name[:60]!r} is not allowed: {NAMES}")
    if name in clients:
        refuse(f"{name} has a key already; `bramble key rotate {name}` gives it another one")
    given, made = _given(**sources)
    _keep(folder, clients, name, Client(key=_hash(given)))
    _tell(name, given, made)


@key.command("rotate")
@click.argument("name")
@secret.sources("the key", "pass show llm")
def rotate(name: str, **sources: Any) -> None:
    """Give the client NAME another key; the one that it has stays valid until it is revoked.

    \b
    bramble key rotate laptop && bramble up
    bramble key revoke laptop --before && bramble up      once the client uses the new one
    """
    from bramble.access.keys import Client

    folder, clients = _clients()
    client = _known(clients, name)
    if client.before is not None:
        refuse(
            f"{name} has two valid keys already; `bramble key revoke {name} --before` ends the older"
        )
    given, made = _given(**sources)
    _keep(folder, clients, name, Client(key=_hash(given), before=client.key))
    _tell(name, given, made)


@key.command("revoke")
@click.argument("name")
@click.option("--before", is_flag=True, help="End only the key that was replaced.")
def revoke(name: str, before: bool) -> None:
    """End the keys of the client NAME; nodes learn it by the next `bramble up`.

    \b
    bramble key revoke laptop && bramble up
    """
    from bramble.access.keys import Client

    folder, clients = _clients()
    client = _known(clients, name)
    if before and client.before is None:
        refuse(f"{name} has one valid key; without --before this ends it")
    left = {other: kept for other, kept in clients.items() if other != name}
    _write(folder, left | ({name: Client(key=client.key)} if before else {}))
    what = "the older key of" if before else "every key of"
    click.echo(f"{what} {name} is revoked here; nodes accept it until `bramble up`", err=True)


@key.command("list")
@AS_JSON
def list_keys(as_json: bool) -> None:
    """List clients with the days and the beginnings of the sha256 of their keys.

    \b
    bramble key list
    """
    import json

    _, clients = _clients()
    rows = [
        {"client": name, "created": one.created, "sha256": one.sha256, "valid": kind}
        for name in sorted(clients)
        for kind, one in zip(("yes", "until it is revoked"), clients[name].valid, strict=False)
    ]
    if as_json:
        click.echo(json.dumps({"keys": rows}, indent=2))
        return
    tell_folder()
    for row in rows:
        click.echo(
            f"{row['client']:<20} {row['created']}  {row['sha256'][:12]}  valid: {row['valid']}"
        )
    if not rows:
        click.echo("no client has a key; `bramble key create NAME` makes one", err=True)


def _clients() -> tuple[Path, dict[str, Client]]:
    """Return the inventory's folder and its clients, or end the command with every problem."""
    from bramble.access.keys import load
    from bramble.documents.problems import InventoryError

    folder = existing_folder()
    try:
        return folder, load(folder)
    except InventoryError as error:
        refuse(str(error))


def _known(clients: Mapping[str, Client], name: str) -> Client:
    from bramble.documents.problems import unknown

    if name not in clients:
        refuse(f"no client {name[:60]!r} has a key; {unknown(name, clients)}")
    return clients[name]


def _given(**named: Any) -> Given:
    """Return the key that the options name, or a new one, or end the command."""
    from bramble.access.keys import generate

    said = secret.given("the key", named)
    return (generate(), True) if said is None else (said, False)


def _hash(given: str) -> Hash:
    from bramble.access.keys import KeyRefused, kept

    try:
        return kept(given, datetime.datetime.now(datetime.UTC).date())
    except KeyRefused as error:
        refuse(f"{error}; nothing was changed")


def _keep(folder: Path, clients: Mapping[str, Client], name: str, client: Client) -> None:
    """Write the clients with this one, whose key no other may have."""
    for other, kept in clients.items():
        if client.key.sha256 in {one.sha256 for one in kept.valid}:
            refuse(f"that is a key of {other}; each client has its own")
    _write(folder, {**clients, name: client})


def _write(folder: Path, clients: Mapping[str, Client]) -> None:
    from bramble.access.keys import FILE, write

    try:
        write(folder, clients)
    except OSError as error:
        refuse(f"{folder / FILE}: {error.strerror}; nothing was changed")


def _tell(name: str, given: str, made: bool) -> None:
    if made:
        click.echo(f"The key of {name}, which is shown this once:", err=True)
        click.echo(given)
    else:
        click.echo(f"{name} has the key that was given.", err=True)
    click.echo(NEXT, err=True)
