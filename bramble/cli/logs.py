"""`bramble logs`: the requests that a node answered, or a gateway led to one, a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from bramble.cli.inventory import chosen_host, loaded_inventory, refuse
from bramble.cli.options import HOST
from bramble.sanitize import sanitize

UNITS = ("llama-server.service", "bramble-edge.service", "bramble-gateway.service")


@click.command("logs")
@HOST
@click.option("-f", "--follow", is_flag=True, help="Continue with requests as they come.")
@click.option(
    "-n",
    "--lines",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Lines of the journal to begin with; a request has several.",
)
@click.option("--all", "whole", is_flag=True, help="Every line of the journal, and not requests.")
def logs(host: str, follow: bool, lines: int, whole: bool) -> None:
    """Show the requests to HOST's model: who asked, what for, tokens and seconds; no word of any text.

    llama-server counts tokens (`model`); clients of the network have a line of `edge` besides. A gateway
    tells client, model, node, status, queue and seconds of each request (`gateway`), and no tokens.

    \b
    bramble logs pi5-a
    bramble logs pi5-a -f
    """
    from bramble.inventory.headline import headline
    from bramble.node.requests import requests
    from bramble.outputs import GatewaySettings, ServingOutputs
    from bramble.registry import giving
    from bramble.ssh.client import PROBLEMS, SshError, connect

    inventory, role = loaded_inventory(), giving(ServingOutputs).name
    chosen = chosen_host(inventory, host)
    leads = any(isinstance(part, GatewaySettings) for part in chosen.settings.values())
    if role not in chosen.settings and not leads:
        refuse(f"{host} gets neither the role {role} nor a gateway, so nothing is asked of it")
    click.echo(headline(inventory, [host]), err=True)
    ssh: Any = chosen.settings["ssh"]
    try:
        with connect(host, ssh) as client:
            said = _journal(client, follow, lines)
            for line in said if whole else requests(said):
                click.echo(sanitize(line.rstrip("\n"), "\t"))
    except KeyboardInterrupt:
        return
    except SshError as error:
        click.echo(sanitize(str(error)), err=True)
        raise click.exceptions.Exit(1) from None
    except PROBLEMS as error:
        said_why = str(error) or "the connection ended"
        click.echo(sanitize(f"{host}: no logs: {said_why}"), err=True)
        raise click.exceptions.Exit(1) from None


def _journal(client: Any, follow: bool, lines: int) -> Iterator[str]:
    """Yield the journal's lines; raise OSError where the account may not read it."""
    units = " ".join(f"-u {unit}" for unit in UNITS)
    words = f"journalctl {units} -o short-iso -n {lines} --no-pager --no-hostname --quiet"
    # Root reads all of it, an account of the group adm or systemd-journal the system's part.
    argv = f"sudo -n {words}{' -f' if follow else ''} || {words}{' -f' if follow else ''}"
    _, stdout, stderr = client.exec_command(argv)
    yield from _texts(stdout)
    if code := stdout.channel.recv_exit_status():
        problem = stderr.read(500).decode(errors="replace").strip()
        raise OSError(problem or f"journalctl ended with exit code {code}")


def _texts(stdout: Iterable[str]) -> Iterator[str]:
    """Yield lines as text; those that are not UTF-8 come as bytes."""
    for line in stdout:
        yield line if isinstance(line, str) else bytes(line).decode(errors="replace")
