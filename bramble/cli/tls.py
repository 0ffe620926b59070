"""`bramble tls`: certificates of hosts that clients reach by TLS, from the fleet's own authority."""

from __future__ import annotations

import datetime
from typing import Any

import click

from bramble.cli.inventory import chosen_host, loaded_inventory, refuse
from bramble.cli.options import HOST


@click.group("tls")
def tls() -> None:
    """Make certificates for hosts.

    The authority's key and those of hosts lie in the inventory's tls/, for you alone to read: keep them
    out of git, and a copy of ca.key in a safe place. Clients need tls/ca.crt, which is no secret.
    """


@tls.command("issue")
@HOST
@click.option(
    "--name", "more", multiple=True, metavar="NAME", help="One more name or address for clients."
)
def issue(host: str, more: tuple[str, ...]) -> None:
    """Make a certificate for HOST, valid for 397 days, and the authority where there is none.

    It is for the host's name, that with .local, ssh.address, serving.edge.name and gateway.name. A
    certificate of another authority goes to tls/HOST.pem by hand, with its chain and its key.

    \b
    bramble tls issue pi5-a
    bramble tls issue pi5-a --name llm.home.arpa
    """
    from bramble.access import authority
    from bramble.access.certificates import AUTHORITY
    from bramble.documents.problems import shown

    inventory = loaded_inventory()
    chosen = chosen_host(inventory, host)
    names = _names(host, chosen.settings, more)
    try:
        file = authority.issue(inventory.folder, host, names, datetime.datetime.now(datetime.UTC))
    except (authority.AuthorityError, OSError, ValueError) as error:
        refuse(f"{error}; no certificate was made")
    click.echo(f"{shown(file)} is for {', '.join(names)}; `bramble up {host}` brings it there.")
    click.echo(f"Clients need {shown(file.parent / AUTHORITY)}.")


def _names(host: str, settings: Any, more: tuple[str, ...]) -> list[str]:
    """Return the names and addresses of a host, each once, that for people first."""
    from bramble.edge.settings import ExposedSettings, Limits

    parts = settings.values()
    own = [part.edge.name for part in parts if isinstance(part, ExposedSettings)]
    own += [part.name for part in parts if isinstance(part, Limits)]
    found = [*own, host, f"{host}.local" if "." not in host else None, settings["ssh"].address]
    return [*dict.fromkeys([name for name in (*found, *more) if name])]
