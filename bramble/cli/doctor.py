"""`bramble doctor`: what is in the way of a deploy, here and on hosts, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, HOSTS
from bramble.cli.terminal import say
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.doctor.finding import Finding
    from bramble.inventory.load import Host, Inventory

_COLOURS = {"ok": "green", "wrong": "red", "unknown": "yellow"}
_USUAL_TOLERANCE_S = 60


@click.command("doctor")
@HOSTS
@ASK_SUDO_PASSWORD
@AS_JSON
def doctor(hosts: tuple[str, ...], as_json: bool) -> None:
    """Tell what is in the way of a deploy, and what mends it; nothing is changed.

    Without HOSTs it looks at this computer and at the inventory. HOSTs are logged in to side by side,
    each told within 30 s; of those that answer it tells what a deploy would refuse.

    Exit code 0 when nothing is wrong, 1 when something is or cannot be told.

    \b
    bramble doctor                 this computer and the inventory
    bramble doctor pi5-a pi4-b     these hosts too
    bramble doctor pi5-a --json
    """
    found: list[Finding] = []
    for finding in _findings(hosts):
        if not as_json:
            _tell(finding, found[-1].where if found else None)
        found.append(finding)
    bad = sum(finding.status != "ok" for finding in found)
    if as_json:
        click.echo(json.dumps({"findings": [finding.as_dict() for finding in found]}, indent=2))
    else:
        click.echo(
            f"{bad} of {len(found)} to mend" if bad else f"{len(found)} looked at, nothing to mend"
        )
    raise click.exceptions.Exit(1 if bad else 0)


def _findings(names: Sequence[str]) -> Iterator[Finding]:
    """Yield all findings, those of this computer first."""
    from bramble.doctor import computer, ways
    from bramble.doctor.finding import HERE, ok

    yield from computer.findings()
    inventory, problems = _inventory(names)
    yield from problems
    if inventory is None:
        return
    yield ok(HERE, "inventory", f"{inventory.folder}: {len(inventory.hosts)} host(s)")
    meant = {name: inventory.hosts[name] for name in dict.fromkeys(names)} or inventory.hosts
    yield from ways.findings({name: _ssh(host) for name, host in meant.items()})
    if names:
        yield from _of_hosts(meant)


def _inventory(names: Sequence[str]) -> tuple[Inventory | None, list[Finding]]:
    """Load the inventory; return it, or what is wrong with it. A name that it lacks ends the command."""
    from bramble.cli.inventory import chosen_host
    from bramble.doctor.finding import HERE, wrong
    from bramble.documents.problems import InventoryError
    from bramble.fleet import load
    from bramble.project import folder

    try:
        inventory = load(folder())
    except InventoryError as error:
        remedy = "correct it there; `bramble config HOST` then shows what holds"
        return None, [wrong(HERE, "inventory", str(one), remedy) for one in error.problems]
    for name in names:
        chosen_host(inventory, name)
    return inventory, []


def _ssh(host: Host) -> Any:
    return host.settings["ssh"]


def _of_hosts(hosts: Mapping[str, Host]) -> Iterator[Finding]:
    """Yield whether each host can be logged in to, and what a deploy would refuse of those that can."""
    from bramble.doctor.finding import wrong
    from bramble.doctor.reach import reach
    from bramble.inventory import presence

    absent = presence.absent(hosts)
    for name in absent:
        remedy = presence.sentence([name]).partition(": ")[2] or "`bramble virtual up` starts it"
        yield wrong(name, "reachable", "it is a virtual Pi that is not up", remedy)
    there = {name: _ssh(host) for name, host in hosts.items() if name not in absent}
    reached = []
    for answer in reach(there, lambda name: _tolerance_s(hosts[name])):
        yield from answer.findings
        reached += [answer.host] if answer.is_reached else []
    if reached:
        # In the inventory's order, whoever answered first.
        yield from _plans([name for name in there if name in reached])


def _tolerance_s(host: Host) -> int:
    from bramble.outputs import SystemSettings

    parts = (part for part in host.settings.values() if isinstance(part, SystemSettings))
    system = next(parts, None)
    return system.clock_tolerance_s if system else _USUAL_TOLERANCE_S


def _plans(names: Sequence[str]) -> Iterator[Finding]:
    """Plan the hosts as `bramble plan` does, keep no report, and yield what would refuse a deploy."""
    with TemporaryDirectory(prefix="bramble-doctor-") as folder:
        outcome = driver.run("plan", names, "-y", show=driver.be_quiet, reports=Path(folder))
    planned = {entry["host"]: entry["refused"] for entry in outcome.of("plan")}
    for name in names:
        yield from _of_plan(name, planned.get(name), outcome)


def _of_plan(
    name: str, refused: Iterable[str] | None, outcome: driver.Outcome
) -> Iterator[Finding]:
    from bramble.doctor.finding import ok, unknown, wrong

    if refused is None:
        why = outcome.failed.get(name)
        said = why or outcome.cut_off or "the run reported nothing of it"
        made = wrong if why else unknown
        yield made(name, "plan", said, f"do what it says, then `bramble plan {name}`")
        return
    whys = list(refused)
    yield from (
        wrong(name, "plan", why, f"do what it says, then `bramble plan {name}`") for why in whys
    )
    if not whys:
        yield ok(name, "plan", "a deploy would not be refused")


def _tell(finding: Finding, before: str | None) -> None:
    """Print one finding, below the name of where it is."""
    if finding.where != before:
        click.echo(click.style(finding.where, bold=True))
    status = click.style(f"{finding.status:7}", fg=_COLOURS[finding.status])
    say(f"  {status} {finding.what}: {sanitize(finding.found)}", hang=8)
    if finding.remedy:
        say(f"{'':10}to do: {finding.remedy}", hang=7)
