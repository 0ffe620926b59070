"""`bramble status`: what the hosts are doing now, once or live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON, QUIET, is_quiet
from bramble.cli.selection import hosts as its_hosts
from bramble.cli.terminal import is_person, say, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bramble.inventory.selection import Chosen
    from bramble.status.drift import Changes
    from bramble.status.result import HostStatus
    from bramble.status.streams import Fleet

# Importing pydantic and paramiko is slow: what needs them is imported where it is used.


@click.command("status")
@its_hosts()
@click.option(
    "-w",
    "--watch",
    is_flag=True,
    help="Show it live, until q: each host by one connection, which tells of it every second. Off a "
    "terminal, a line whenever something changes.",
)
@QUIET
@AS_JSON
def status(hosts: Chosen, watch: bool, as_json: bool) -> None:
    """Show what HOSTs (all by default) are doing now: health, model, speed, slots, heat, memory, drift.

    Of a gateway its nodes are told besides: which are up, their slots, and how many requests wait. It
    changes nothing. Hosts are asked at once, and one that is not heard within 30 s is told as such.
    Drift is what the node itself found, where it has the role monitoring, else what the last
    `bramble audit` of this project found.

    Exit code 0 when every host is well, 1 when one is not or could not be asked.

    \b
    bramble status
    bramble status pi5 --json
    bramble status --watch
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people: leave --json out, or --watch")
    driver.check_hosts(hosts.names)
    names = hosts.names or tuple(driver.present())
    fleet = _fleet(names)
    if watch:
        _watch(fleet, names)
        return
    fleet.ask()
    found = _look(fleet, _changes(names))
    if as_json:
        from bramble.status.result import fleet_status

        click.echo(fleet_status(found).model_dump_json(indent=2))
    else:
        _print(found)
    raise click.exceptions.Exit(0 if all(one.is_well for one in found) else 1)


def _fleet(names: Sequence[str]) -> Fleet:
    from bramble.cli.inventory import loaded_inventory
    from bramble.status.streams import Fleet
    from bramble.status.wanted import wanted

    inventory = loaded_inventory().hosts
    return Fleet([wanted(inventory[name]) for name in names], time.monotonic())


def _changes(names: Sequence[str]) -> dict[str, Changes]:
    """Return what the reports have of the hosts."""
    from bramble import project
    from bramble.status.drift import changes

    return changes(project.reports(), names)


def _look(fleet: Fleet, found: dict[str, Changes]) -> tuple[HostStatus, ...]:
    from bramble.status.result import host_status

    now_s = time.monotonic()
    return tuple(
        host_status(host, fleet.known[name], found[name], now_s)
        for name, host in fleet.hosts.items()
    )


def _watch(fleet: Fleet, names: Sequence[str]) -> None:
    """Show or tell the fleet until the person ends it."""
    from bramble.cli import live

    found = _changes(names)

    def look() -> tuple[HostStatus, ...]:
        fleet.take_up()
        return _look(fleet, found)

    fleet.follow()
    try:
        if is_person():
            live.watch(look, lambda: found.update(_changes(names)))
        else:
            live.tell_changes(look)
    except KeyboardInterrupt:
        return
    finally:
        fleet.end()


def _print(found: Sequence[HostStatus]) -> None:
    """Print a row for each host, why some are not well, and the total."""
    from bramble.layout import table
    from bramble.sanitize import sanitize
    from bramble.status import gateway
    from bramble.status.rows import cells

    shown = [one for one in found if not (is_quiet() and one.is_well)]
    rows = [cells(one) for one in shown]
    if rows:
        names = [name for name in rows[0] if any(row[name].text for row in rows)]
        texts = [tuple(names)] + [tuple(sanitize(row[n].text) for n in names) for row in rows]
        click.echo("\n".join(table(texts, width())))
    for one in shown:
        if one.why:
            say(
                f"{click.style(one.host, bold=True)}: {click.style(one.state, fg='red')}: {one.why}"
            )
    led = [row for one in shown for row in gateway.rows(one.host, one.gateway or ())]
    if led:
        texts = [gateway.HEAD, *(tuple(map(sanitize, row)) for row in led)]
        click.echo("\n".join(["", *table(texts, width())]))
    bad = [one.host for one in found if not one.is_well]
    count = f"{len(found)} host{'' if len(found) == 1 else 's'}"
    say(f"{count}: {len(found) - len(bad)} well" + (f", not: {', '.join(bad)}" if bad else ""))
