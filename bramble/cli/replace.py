"""`bramble replace`: another board in the place of a dead one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import completing, driver, meeting
from bramble.cli.inventory import chosen_host, loaded_inventory, refuse
from bramble.cli.options import ASK_SUDO_PASSWORD
from bramble.cli.terminal import say

if TYPE_CHECKING:
    from bramble.inventory.load import Host, Inventory

Edits = Mapping[Path, tuple[str, str]]
"""Texts of files before and after."""


@click.command("replace")
@click.argument("host", metavar="OLD", shell_complete=completing.hosts)
@click.argument("address", metavar="NEW")
@meeting.FINGERPRINT
@meeting.PASSWORD_SOURCES
@ASK_SUDO_PASSWORD
def replace(host: str, address: str, fingerprint: str | None, **sources: Any) -> None:
    """Put the board at NEW, [USER@]ADDRESS[:PORT], in the place of the host OLD, whose board is dead.

    Name, groups and settings stay; the address, and the key in known_hosts, become those of the new
    board, as with `bramble enroll`. It is looked at, and what the next `bramble up` would do is told. A
    board that came back with another card in it is no new one: `bramble trust OLD --replace`.

    \b
    bramble replace pi5-a 192.168.1.57
    bramble replace pi5-a pi@192.168.1.57 --fingerprint SHA256:Ukt0...
    """
    from bramble.inventory import edit
    from bramble.inventory.headline import headline

    inventory = loaded_inventory()
    old = chosen_host(inventory, host)
    click.echo(headline(inventory, [host]), err=True)
    _refuse_living(old)
    try:
        edits = _edits(inventory, old, address)
        new = _host(inventory, host, edits)
        same = _name(new) == _name(old)
        meeting.meet(host, _ssh(new), fingerprint, replace=True)
        inside = meeting.get_in(host, _ssh(new), sources)
        for file, (before, after) in edits.items():
            edit.keep(file, before, after)
    except edit.EditError as error:
        refuse(str(error))
    if not same:
        _forget(old)
    _tell(host, old, new, inside.model)
    _tell_plan(host)
    _tell_next(_neighbours(inventory, host), host)


def _ssh(host: Host) -> Any:
    return host.settings["ssh"]


def _name(host: Host) -> str:
    from bramble.ssh.config import target

    return target(_ssh(host)).name


def _refuse_living(old: Host) -> None:
    """End the command where the board that is to be replaced still answers, with its own key."""
    from bramble.ssh import trust
    from bramble.ssh.client import SshError

    click.echo(f"Seeing that the old board of {old.name} is gone ...", err=True)
    try:
        key = trust.offered_key(old.name, _ssh(old))
    except SshError:
        return
    if trust.known_key(_ssh(old), key) == key:
        refuse(
            f"{old.name} answers at {_name(old)} with the key that is trusted: it is no dead board. "
            "Switch it off first, or `bramble enroll` the new one beside it; nothing was changed"
        )


def _edits(inventory: Inventory, old: Host, said: str) -> Edits:
    """Return how the files change that say where the host is."""
    from bramble.cli.enroll import parts_of
    from bramble.inventory import edit

    user, address, port = parts_of(said)
    wanted = {"address": address, "port": port, "user": user or None}
    texts: dict[Path, tuple[str, str]] = {}
    for key, value in wanted.items():
        if value is None or getattr(_ssh(old), key) == value:
            continue
        file, keys = _place(inventory, old, key)
        before, now = texts.get(file) or (edit.text_of(file),) * 2
        texts[file] = (before, edit.with_value(file, now, keys, value))
    return texts


def _place(inventory: Inventory, old: Host, key: str) -> tuple[Path, tuple[str, ...]]:
    """Return the file that says it of the host alone, and where in it."""
    apart = inventory.folder / "hosts" / f"{old.name}.yml"
    source = old.sources.get(("ssh", key))
    if source and source.layer == "host" and source.file == apart:
        return apart, ("ssh", key)
    return inventory.folder / "fleet.yml", ("hosts", old.name, "ssh", key)


def _host(inventory: Inventory, name: str, edits: Edits) -> Host:
    """Return the host as the inventory will have it; end the command where that is no good."""
    from bramble.documents.problems import InventoryError
    from bramble.fleet import load

    try:
        return load(inventory.folder, {file: after for file, (_, after) in edits.items()}).hosts[
            name
        ]
    except InventoryError as error:
        refuse(f"{error}\nnothing was changed")


def _forget(old: Host) -> None:
    """Take the old board's key out of known_hosts."""
    from bramble.ssh import known_hosts

    try:
        if known_hosts.remove(_ssh(old).known_hosts, _name(old)):
            click.echo(f"the key of {_name(old)} is out of {_ssh(old).known_hosts}")
    except OSError as error:
        raise click.ClickException(
            f"{_ssh(old).known_hosts}: {error.strerror}: it still has the old board's key; "
            f"`ssh-keygen -R '{_name(old)}' -f {_ssh(old).known_hosts}` takes it out"
        ) from error


def _tell(host: str, old: Host, new: Host, model: str) -> None:
    from bramble.starter import board_in

    at = (
        f"at {_name(new)}"
        if _name(new) == _name(old)
        else f"at {_name(new)}, no more at {_name(old)}"
    )
    click.echo(f"{host} is {model or 'a board that names no model'} {at}; its settings stay")
    board = board_in(model)
    others = [name for name in new.groups if name in ("pi4", "pi5") and name != board]
    if board and others:
        say(
            f"{host} is in the group {others[0]}, and the new board is a {board}: change its groups in "
            "fleet.yml where the settings of that group are not for it",
            err=True,
        )


def _tell_plan(host: str) -> None:
    """Print what the next deploy would do; a host that cannot be planned is told, and stays replaced."""
    from bramble.cli.plans import in_short, plans_of, say_failed, to_do

    outcome = driver.run("plan", [host], "-y", show=driver.be_quiet)
    say_failed(outcome)
    for entry in plans_of(outcome):
        say(f"what `bramble up` would do: {in_short(entry)}")
        for step in to_do(entry):
            say(f"  {step['role']}: {step['step']}: {step['why']}")


def _neighbours(inventory: Inventory, name: str) -> list[str]:
    """Return the other hosts whose model is the host's own, which it can take it from."""
    models = {other: _model(host) for other, host in inventory.hosts.items()}
    return [
        other
        for other in models
        if other != name and models[name] and models[other] == models[name]
    ]


def _model(host: Host) -> str:
    from bramble.outputs import ModelSettings

    for part in host.settings.values():
        if isinstance(part, ModelSettings):
            return part.chosen(host.name, host.prepared).sha256
    return ""


def _tell_next(neighbours: list[str], host: str) -> None:
    if neighbours:
        first = neighbours[0]
        click.echo(
            f"next: `bramble up {host} {first}`: {first} has the same model, and in one run {host} "
            "takes it from there"
        )
    else:
        click.echo(f"next: `bramble up {host}`")
