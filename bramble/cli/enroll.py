"""`bramble enroll`: find new Pis on the network, and take them into the inventory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import meeting, terminal
from bramble.cli.inventory import existing_folder, refuse
from bramble.cli.options import AS_JSON
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.inventory.load import Host
    from bramble.lan.meetings import Met
    from bramble.ssh.onboard import Inside


@click.command("enroll")
@click.argument("address", required=False)
@click.option(
    "--name", metavar="NAME", help="The host's name in the inventory; asked for if not said."
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME",
    help="A group of the host, repeatable; not said: asked for, off a terminal that of its board.",
)
@meeting.FINGERPRINT
@meeting.PASSWORD_SOURCES
@AS_JSON
def enroll(
    address: str | None,
    name: str | None,
    groups: tuple[str, ...],
    fingerprint: str | None,
    as_json: bool,
    **sources: Any,
) -> None:
    """Find the Pis of this network, or take the one at ADDRESS into the inventory.

    Without ADDRESS it lists boards by their hardware addresses and the names that they give by mDNS,
    each with the fingerprint of its SSH key, and on a terminal asks which to take. ADDRESS is a name or
    IP address, [USER@]ADDRESS[:PORT].

    The fingerprint is compared as `bramble trust` does. A board that opens by a password alone gets the
    key that bramble logs in with, which is tried in a new connection; then the host is written into
    fleet.yml.

    \b
    bramble enroll                              what is there
    bramble enroll 192.168.1.41
    bramble enroll pi@192.168.1.41 --name pi5-a --group pi5 \\
        --fingerprint SHA256:Ukt0... --password-from-command 'pass show pi'
    """
    folder = existing_folder()
    if address is not None:
        if as_json:
            raise click.UsageError("--json is for the list: leave ADDRESS out")
        _take(folder, address, name, groups, fingerprint, sources)
        return
    if name or groups or fingerprint:
        raise click.UsageError(
            "--name, --group and --fingerprint are of one board: say its ADDRESS"
        )
    found = _found(folder)
    if as_json:
        click.echo(json.dumps({"boards": [as_dict(met) for met in found]}, indent=2))
        return
    _print(found)
    for met in found if terminal.is_person() else ():
        if met.is_new and click.confirm(f"Take {met.pi.address} into the inventory?"):
            _take(folder, met.pi.address, name, groups, None, sources, met.pi.label)


def as_dict(met: Met) -> dict[str, Any]:
    """Return a board as JSON tells it."""
    return {
        "address": met.pi.address,
        "mac": met.pi.mac,
        "name": met.pi.name,
        "fingerprint": met.fingerprint,
        "problem": met.problem,
        "host": met.host,
    }


def _found(folder: Path) -> list[Met]:
    """Look for boards, and ask each for its key."""
    from bramble.documents.problems import InventoryError
    from bramble.fleet import load
    from bramble.lan.meetings import meet
    from bramble.lan.pis import find

    hosts: dict[str, Any] = {}
    try:
        hosts = {name: host.settings["ssh"] for name, host in load(folder).hosts.items()}
    except InventoryError:
        # A new inventory has no hosts yet, and that is one of its problems.
        click.echo("The inventory cannot be read yet, so no board is known by its host.", err=True)
    files = [ssh.known_hosts for ssh in hosts.values()]
    return meet(find(), files[0] if files else folder / "known_hosts", hosts)


def _print(found: Sequence[Met]) -> None:
    from bramble.layout import table

    rows: list[tuple[str, ...]] = [("ADDRESS", "HARDWARE", "NAME", "HOST", "SSH KEY")]
    for met in found:
        pi, state = met.pi, met.host or ("new" if met.is_new else "")
        shown = met.fingerprint or met.problem
        rows.append((pi.address, pi.mac, pi.name, state, sanitize(shown)))
    if found:
        click.echo("\n".join(table(rows, terminal.width())))
    new = [met for met in found if met.is_new]
    if not found:
        click.echo(
            "No Pi was found. One on another network, or with another maker's network card, is taken by "
            "`bramble enroll ADDRESS`; your router lists addresses.",
            err=True,
        )
    elif new and not terminal.is_person():
        click.echo(f"next: `bramble enroll {new[0].pi.address} --name HOST`", err=True)


def _take(
    folder: Path,
    said: str,
    name: str | None,
    groups: Sequence[str],
    fingerprint: str | None,
    sources: dict[str, Any],
    label: str = "",
) -> None:
    """Trust one board, get in, and write it into the inventory."""
    from bramble.inventory import edit

    if not terminal.is_person() and not (name and fingerprint):
        refuse("nobody can be asked here: say --name and --fingerprint; nothing was changed")
    user, address, port = parts_of(said)
    ssh: dict[str, Any] = {"address": address}
    ssh |= ({"port": port} if port else {}) | ({"user": user} if user else {})
    name = name or _asked_name(label)
    file = folder / "fleet.yml"
    try:
        before = edit.text_of(file)
        host = _host(file, before, name, {"groups": [*groups], "ssh": ssh})
        _refuse_known(folder, host)
        meeting.meet(name, _ssh(host), fingerprint)
        inside = meeting.get_in(name, _ssh(host), sources)
        entry = {"groups": [*(groups or _groups(folder, inside))], "ssh": ssh}
        final = _host(file, before, name, entry)
        if _ssh(final) != _ssh(host):
            # A group may say how its hosts are reached.
            meeting.get_in(name, _ssh(final), sources)
        edit.keep(file, before, edit.added(file, before, name, _short(entry)))
    except edit.EditError as error:
        refuse(str(error))
    _tell(file, final, inside)


def parts_of(said: str) -> tuple[str, str, int | None]:
    """Return account, address and port of what was said, or end the command."""
    import re

    from bramble.settings import ACCOUNT, ADDRESS, parts

    user, address, port = parts(said)
    if not re.search(ADDRESS, address) or (user and not re.search(ACCOUNT, user)):
        refuse(f"found the address {said[:80]!r}, allowed: [USER@]ADDRESS[:PORT]")
    return user, address, port


def _asked_name(label: str) -> str:
    from bramble.inventory.consistency import HOST_NAME, is_host_name

    while True:
        name: str = click.prompt("Its name in the inventory", default=label or None)
        if is_host_name(name):
            return name
        click.echo(f"allowed: {HOST_NAME}", err=True)


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value}


def _host(file: Path, before: str, name: str, entry: dict[str, Any]) -> Host:
    """Return the host as the inventory would have it; end the command where it would be no good."""
    from bramble.documents.problems import InventoryError
    from bramble.fleet import load
    from bramble.inventory import edit
    from bramble.inventory.consistency import HOST_NAME, is_host_name

    if not is_host_name(name):
        refuse(f"--name: found {name[:80]!r}, allowed: {HOST_NAME}")
    try:
        text = edit.added(file, before, name, _short(entry))
        return load(file.parent, {file: text}).hosts[name]
    except InventoryError as error:
        refuse(f"{error}\nthe inventory was not changed")


def _ssh(host: Host) -> Any:
    return host.settings["ssh"]


def _refuse_known(folder: Path, host: Host) -> None:
    """End the command where known_hosts has another key of the address than a new board shows."""
    from bramble.ssh import known_hosts, trust
    from bramble.ssh.client import SshError
    from bramble.ssh.config import target

    ssh = _ssh(host)
    there = target(ssh).name
    try:
        key = trust.offered_key(host.name, ssh)
    except SshError as error:
        raise click.ClickException(str(error)) from error
    if others := [
        name for name in known_hosts.names_of(ssh.known_hosts, key.get_base64()) if name != there
    ]:
        raise click.ClickException(
            f"{host.name} shows the key that {ssh.known_hosts} has of {', '.join(others)}: it is that "
            "node at another address (set its ssh.address), or its card is a copy of that one's, which "
            "needs a key of its own (`sudo rm /etc/ssh/ssh_host_*; sudo ssh-keygen -A`)"
        )
    known = trust.known_key(ssh, key)
    if known and known != key:
        raise click.ClickException(
            f"{ssh.known_hosts} has another key of {there}: if that board is gone, take its line out "
            f"(`ssh-keygen -R '{there}' -f {ssh.known_hosts}`); if not, somebody else may be answering"
        )


def _groups(folder: Path, inside: Inside) -> list[str]:
    """Return the host's groups: asked for, or that of its board where nobody can be asked."""
    from bramble.starter import board_in

    known = sorted(file.stem for file in (folder / "groups").glob("*.yml"))
    board = board_in(inside.model)
    own = [board] if board in known else []
    if not known or not terminal.is_person():
        return own
    shown = f"Its groups ({', '.join(known)}; - for none)"
    said: str = click.prompt(shown, default=" ".join(own) or "-")
    return [] if said == "-" else said.replace(",", " ").split()


def _tell(file: Path, host: Host, inside: Inside) -> None:
    from bramble.documents.problems import shown

    of = f", of {', '.join(host.groups)}" if host.groups else ""
    click.echo(
        f"{host.name} is in {shown(file)}{of}: {inside.model or 'a board that names no model'}"
    )
    if inside.sudo_asks:
        click.echo(
            f"next: `bramble up {host.name} --ask-sudo-password`, as sudo asks for one there "
            "(`bramble docs how-to/sudo-password`: how to end that)"
        )
    else:
        click.echo(f"next: `bramble plan {host.name}`, then `bramble up {host.name}`")
