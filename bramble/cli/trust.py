"""`bramble trust`: add a host's SSH key to the fleet's known_hosts."""

from __future__ import annotations

from typing import Any

import click

from bramble.cli.options import HOST


@click.command("trust")
@HOST
@click.option(
    "--fingerprint", help="Trust the key only if it has this fingerprint, without asking."
)
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
    from bramble.ssh import trust as keys
    from bramble.ssh.client import SshError
    from bramble.ssh.config import target
    from bramble.ssh.problems import changed
    from bramble.ssh.problems import fingerprint as printed

    inventory = loaded_inventory()
    chosen = chosen_host(inventory, host)
    click.echo(headline(inventory, [host]), err=True)
    ssh: Any = chosen.settings["ssh"]
    try:
        offered = keys.offered_key(host, ssh)
    except SshError as error:
        raise click.ClickException(str(error)) from error
    known = keys.known_key(ssh, offered)
    if keys.is_revoked(ssh, offered):
        raise click.ClickException(
            f"{host} shows {printed(offered)}, which {ssh.known_hosts} has as @revoked: make new keys "
            "there (`sudo rm /etc/ssh/ssh_host_*; sudo ssh-keygen -A`)"
        )
    if known == offered:
        click.echo(f"{host} is trusted already: {printed(offered)}")
        return
    if known and not replace:
        raise click.ClickException(f"{host}: {changed(host, ssh, offered, known)}")
    if fingerprint and fingerprint != printed(offered):
        said = f"{host} shows {printed(offered)}, not {fingerprint}; nothing was changed"
        raise click.ClickException(said)
    if not fingerprint:
        click.echo(f"{host} ({target(ssh).shown}) shows {offered.get_name()}")
        click.echo(f"    {printed(offered)}")
        click.confirm("Is that the fingerprint that the Pi itself prints?", abort=True)
    keys.keep(ssh, offered)
    click.echo(f"{host} is trusted; the key is in {ssh.known_hosts}")
