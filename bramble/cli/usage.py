"""`bramble usage`: who asked how much of which model, by the journals of gateways and nodes."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON
from bramble.cli.selection import hosts as its_hosts
from bramble.cli.terminal import say, width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bramble.inventory.load import Host
    from bramble.inventory.selection import Chosen
    from bramble.ssh.each import Said
    from bramble.usage.said import Journal
    from bramble.usage.sums import Gateway, HostJournal, Usage

LIMIT_S = 330
_UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_LONGEST_S = 3660 * 86_400


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Return a span in seconds."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", value)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST_S:
        allowed = "a whole number with m, h, d or w (minutes to weeks), at most ten years"
        raise click.BadParameter(f"found {value[:40]!r}, allowed: {allowed}, such as 7d")
    return seconds


@click.command("usage")
@its_hosts()
@click.option(
    "--since",
    "span_s",
    default="7d",
    show_default=True,
    metavar="SPAN",
    callback=_seconds,
    help="How far back: a number with m, h, d or w.",
)
@click.option(
    "--by",
    default="client",
    show_default=True,
    type=click.Choice(["client", "node", "model", "day"]),
    help="What there is a row for; a day is one of UTC.",
)
@AS_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def usage(hosts: Chosen, span_s: int, by: Any, as_json: bool, as_csv: bool) -> None:
    """Sum up the requests to HOSTs (gateways and nodes, all by default): how many, how long, how much.

    By the journals of the gateways and of the nodes' own ways in; a request that came by a gateway
    counts once. Tokens are those that the nodes' llama-servers counted, by node and by day. There is no
    word of what was asked, and nothing is changed.

    Exit code 0, and 1 when a host's journal could not be read.

    \b
    bramble usage
    bramble usage --by node --since 24h
    bramble usage gw --csv > usage.csv
    """
    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    driver.check_hosts(hosts.names)
    chosen = _chosen(hosts.names)
    since_s = int(time.time()) - span_s
    found = _usage(chosen, _read(chosen, since_s), since_s, by)
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    elif as_csv:
        from bramble.usage.told import as_csv as text

        click.echo(text(found), nl=False)
    else:
        _print(found)
    raise click.exceptions.Exit(1 if any(one.problem for one in found.hosts) else 0)


def _chosen(names: Sequence[str]) -> dict[str, Host]:
    """Return the hosts that are asked for something; refuse others that are named."""
    from bramble.cli.inventory import loaded_inventory, refuse
    from bramble.outputs import GatewaySettings, ServingOutputs
    from bramble.registry import giving

    inventory, role = loaded_inventory().hosts, giving(ServingOutputs).name
    asked = {
        name: host
        for name in names or driver.present()
        if role in (host := inventory[name]).settings
        or any(isinstance(part, GatewaySettings) for part in host.settings.values())
    }
    if left := [name for name in names if name not in asked]:
        refuse(
            f"{', '.join(left)} gets neither the role {role} nor a gateway: nothing is asked of it"
        )
    if not asked:
        refuse(f"no host gets the role {role} or a gateway")
    return asked


def _read(chosen: Mapping[str, Host], since_s: int) -> dict[str, Journal | str]:
    """Return each host's journal, or why there is none."""
    from bramble import remote
    from bramble.ssh.each import on_each

    settings: dict[str, Any] = {name: host.settings["ssh"] for name, host in chosen.items()}
    line = remote.command_line("usage", {"since_s": since_s})
    said = {one.host: one for one in on_each(settings, line, LIMIT_S)}
    return {name: _journal(said[name]) for name in chosen}


def _journal(said: Said) -> Journal | str:
    from bramble.sanitize import sentence
    from bramble.usage.said import journal

    if said.code or said.problem:
        last = (said.output.strip().splitlines() or [f"exit code {said.code}"])[-1]
        return sentence(said.problem or last)
    try:
        return journal(said.output)
    except ValueError as error:
        return sentence(f"what it says cannot be read: {error}")


def _usage(
    chosen: Mapping[str, Host], read: dict[str, Journal | str], since_s: int, by: Any
) -> Usage:
    from bramble.usage.sums import Usage, used

    journals = {name: one for name, one in read.items() if not isinstance(one, str)}
    rows, total = used(journals, _gateways(chosen), by)
    return Usage(
        since=datetime.fromtimestamp(since_s, UTC),
        by=by,
        rows=rows,
        total=total,
        hosts=tuple(_host(name, one) for name, one in read.items()),
    )


def _gateways(chosen: Mapping[str, Host]) -> dict[str, Gateway]:
    from bramble.outputs import GatewaySettings
    from bramble.usage.sums import Gateway

    return {
        name: Gateway(
            part.client, frozenset(node for pool in part.led(host.prepared) for node in pool.slots)
        )
        for name, host in chosen.items()
        for part in host.settings.values()
        if isinstance(part, GatewaySettings)
    }


def _host(name: str, read: Journal | str) -> HostJournal:
    from bramble.usage.sums import HostJournal

    if isinstance(read, str):
        return HostJournal(host=name, problem=read)
    begins = None
    if read.begins_s is not None and 0 <= read.begins_s < 2**33:
        begins = datetime.fromtimestamp(read.begins_s, UTC)
    return HostJournal(
        host=name, begins=begins, lost=read.lost, unread=read.unread, left_out=read.left_out
    )


def _print(found: Usage) -> None:
    """Print a row for each name, the sum, and what is not known."""
    from bramble.layout import table
    from bramble.usage.told import lacking
    from bramble.usage.told import table as texts

    if found.rows:
        click.echo("\n".join(table(texts(found), width())))
    else:
        say("no request since then")
    for sentence in lacking(found):
        say(sentence)
