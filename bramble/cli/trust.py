"""`bramble trust`: add a host's SSH key to the fleet's known_hosts."""

from __future__ import annotations

from typing import Any

import click

from bramble.cli.meeting import FINGERPRINT, meet
from bramble.cli.options import HOST


@click.command("trust")
@HOST
@FINGERPRINT
@click.option(
    "--replace", is_flag=True, help="Replace the old key of a host that was flashed again."
)
def trust(host: str, fingerprint: str | None, replace: bool) -> None:
    """Trust HOST's SSH key, after comparing its fingerprint.

    Every command refuses hosts without a key in the inventory's known_hosts. On the Pi itself
    `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints the fingerprint.

    \b
    bramble trust pi5-a
    bramble trust pi5-a --fingerprint SHA256:Ukt0...
    """
    from bramble.cli.inventory import chosen_host, loaded_inventory
    from bramble.inventory.headline import headline

    inventory = loaded_inventory()
    chosen = chosen_host(inventory, host)
    click.echo(headline(inventory, [host]), err=True)
    ssh: Any = chosen.settings["ssh"]
    meet(host, ssh, fingerprint, replace=replace)
