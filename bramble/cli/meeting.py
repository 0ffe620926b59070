"""Meet a host for the first time: trust its SSH key, and get in, by a password if need be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bramble.cli import secret, terminal
from bramble.cli.inventory import refuse
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.settings import SshSettings
    from bramble.ssh.onboard import Inside, OwnKey

PASSWORD = "the account's password"
PREFIX = "password-"

PASSWORD_SOURCES = secret.sources(PASSWORD, "pass show pi", PREFIX)
FINGERPRINT = click.option(
    "--fingerprint", help="Trust the key only if it has this fingerprint, without asking."
)


def meet(host: str, ssh: SshSettings, fingerprint: str | None, *, replace: bool = False) -> None:
    """Trust the key that a host shows, after it was compared, or end the command."""
    from bramble.ssh import trust as keys
    from bramble.ssh.client import SshError
    from bramble.ssh.config import target
    from bramble.ssh.problems import changed
    from bramble.ssh.problems import fingerprint as printed

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


def get_in(host: str, ssh: SshSettings, sources: dict[str, Any]) -> Inside:
    """Log in to a host that is trusted, after our key was put there if it had none, and look inside."""
    from bramble.ssh.client import SshError
    from bramble.ssh.onboard import look_inside, opens, own_key, put

    try:
        if not opens(host, ssh):
            own = own_key(ssh)
            put(host, ssh, own, _password(host, ssh, own, sources))
            click.echo(f"{host} opens by {own.name} now: seen in a new connection")
        return look_inside(host, ssh)
    except SshError as error:
        raise click.ClickException(sanitize(str(error))) from error


def _password(host: str, ssh: SshSettings, own: OwnKey, sources: dict[str, Any]) -> str:
    """Return the account's password, by the options or from the person, or end the command."""
    from bramble.ssh.config import target

    there = target(ssh)
    account = f"{there.user}@{there.address}"
    given = secret.given(PASSWORD, sources, PREFIX)
    if given is not None:
        return given
    if not terminal.is_person():
        refuse(
            f"{account} takes no key of this computer, and nobody can be asked for its password here: "
            f"give it by --{PREFIX}from-env, --{PREFIX}from-file or --{PREFIX}from-command"
        )
    click.echo(f"{account} takes no key of this computer; {own.name} is put there, once.")
    asked: str = click.prompt(f"Password of {account}", hide_input=True, err=True)
    return asked
