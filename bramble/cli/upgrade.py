"""`bramble upgrade` and `bramble rollback`: roll releases and models out to a fleet, and back."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bramble.cli import completing, driver, options, plans, rollout, summary
from bramble.cli.detailed import DETAILED
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, QUIET
from bramble.cli.selection import hosts as its_hosts

if TYPE_CHECKING:
    from bramble.inventory.load import Inventory
    from bramble.inventory.selection import Chosen
    from bramble.llama.lock import Lock
    from bramble.outputs import EngineSettings

COMMIT = re.compile(r"[0-9a-f]{40}")
GATE = "release_passed_the_gate"
"""The check that tells what a release proved on its host."""


@click.command("upgrade")
@its_hosts()
@click.option(
    "--canary",
    metavar="HOST",
    shell_complete=completing.hosts,
    help="Host to upgrade first; default: the first one.",
)
@click.option(
    "--batch",
    "--serial",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Hosts at once, after the first.",
)
@rollout.MAX_FAIL
@click.option(
    "--dry", is_flag=True, help="Show what would change, in which order, and change nothing."
)
@DETAILED
@click.option("--to", metavar="COMMIT", help="Commit of llama.cpp (40 digits) for the fleet.")
@click.option("--again", is_flag=True, help="Retry a release or model that a host rejected before.")
@QUIET
@ASK_SUDO_PASSWORD
@AS_JSON
def upgrade(
    hosts: Chosen,
    canary: str | None,
    batch: int,
    max_fail: int,
    dry: bool,
    detailed: bool,
    to: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Upgrade HOSTs (all by default) to the planned release and model: one first, then several.

    On each host the release must compute, become healthy with its model, answer, be fast enough and
    not throttle the board; else the host is rolled back, and the rollout stops. Pins of
    `bramble rollback` are removed. The same command continues a rollout that stopped.

    \b
    bramble upgrade                                what the inventory plans
    bramble upgrade --dry                          what that would change
    bramble upgrade pi4 --batch 2 --max-fail 1     a group, two at once, until two failed
    bramble upgrade --to 0c1e57098bba43ac29e6e3b677cdceebdd22334f
    bramble upgrade --again pi5-a                  after fixing what it failed at
    """
    from bramble.cli.inventory import loaded_inventory
    from bramble.llama import lock as engine_lock

    inventory = loaded_inventory()
    names = _in_order(inventory, hosts, canary)
    lock = _begun(inventory, engine_lock.read(inventory.folder), names, to)
    groups = rollout.groups(names, batch, first_alone=True)
    if dry:
        _tell_dry(groups, _with(lock, names), detailed, as_json)
    if detailed:
        raise click.UsageError("--detailed-exitcode is for --dry")
    if lock.rolling and not to:
        click.echo(f"continuing the rollout of {lock.rolling.commit}", err=True)
    rows: dict[str, dict[str, Any]] = {name: _row(name, summary.NOT_BEGUN) for name in names}

    def work(several: Sequence[str]) -> Sequence[str]:
        nonlocal lock
        before, lock = lock, _with(lock, several)
        engine_lock.write(inventory.folder, lock)
        found, ok = _roll(several, again, as_json)
        rows.update(found)
        bad = [name for name, row in found.items() if row["state"] == "failed"]
        lock = _without(lock, before, bad)
        engine_lock.write(inventory.folder, lock)
        return bad or ([] if ok else several)

    rollout.in_turn(groups, work, max_fail=max_fail, first_alone=True)
    lock = _ended(inventory, lock)
    engine_lock.write(inventory.folder, lock)
    _tell(list(rows.values()), lock, as_json)


def _tell_dry(
    groups: Sequence[Sequence[str]], lock: Lock, detailed: bool, as_json: bool
) -> NoReturn:
    """Print what the rollout would change, by the lock that it would write; end the command."""
    from bramble.llama import lock as engine_lock

    for number, several in enumerate(groups, 1):
        click.echo(f"{number} of {len(groups)}: {', '.join(several)}", err=True)
    names = [name for several in groups for name in several]
    with tempfile.TemporaryDirectory() as folder:
        engine_lock.write(Path(folder), lock)
        variables = {engine_lock.VARIABLE: str(Path(folder) / engine_lock.FILE)}
        show = driver.progress(as_json)
        outcome = driver.run("plan", names, "-y", show=show, variables=variables)
    plans.tell(outcome, diff=False, detailed=detailed, as_json=as_json, roles=_touched())


def _touched() -> tuple[str, ...]:
    """Name the roles that deploys/upgrade.py executes."""
    from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
    from bramble.registry import giving

    kinds = (EngineOutputs, ModelOutputs, ServingOutputs)
    return (*(giving(kind).name for kind in kinds), "monitoring")


def _in_order(inventory: Inventory, hosts: Chosen, canary: str | None) -> list[str]:
    """Return the hosts of the rollout, the canary first: else the one that was written first."""
    from bramble.cli.inventory import chosen_host, refuse

    known, roles = _serving(inventory), " and ".join(_roles())
    for name in (*hosts.named, *([chosen_host(inventory, canary).name] if canary else [])):
        if name not in known:
            refuse(f"{name} does not get the roles {roles}, or is not up")
    names = [name for name in hosts.names or known if name in known]
    if not names:
        refuse(f"no host that is up gets the roles {roles}")
    if canary and canary not in names:
        refuse(f"the canary {canary} is not among the hosts; name it there too")
    first = canary or (hosts.named or names)[0]
    return [first, *(name for name in names if name != first)]


def _roles() -> tuple[str, str]:
    """Name the roles that a host must have to be upgraded: what is upgraded, and what proves it."""
    from bramble.outputs import EngineOutputs, ServingOutputs
    from bramble.registry import giving

    return giving(EngineOutputs).name, giving(ServingOutputs).name


def _engine(inventory: Inventory, host: str) -> EngineSettings:
    """Return the settings of a host's engine."""
    found: Any = inventory.hosts[host].settings[_roles()[0]]
    settings: EngineSettings = found
    return settings


def _serving(inventory: Inventory) -> list[str]:
    """Return the hosts that serve, without virtual Pis that are not up."""
    from bramble.inventory import presence

    absent, needed = presence.absent(inventory.hosts), {*_roles()}
    return [
        name
        for name, host in inventory.hosts.items()
        if host.settings.keys() >= needed and name not in absent
    ]


def _begun(inventory: Inventory, lock: Lock, names: Iterable[str], to: str | None) -> Lock:
    """Return the lock with the rollout that this command begins or continues."""
    from bramble.cli.inventory import refuse
    from bramble.llama.lock import Rolling

    if to is None:
        return lock
    if not COMMIT.fullmatch(to):
        refuse(f"--to: found '{to}', allowed: the 40 hexadecimal digits of a commit")
    for name in names:
        if _engine(inventory, name).from_archive:
            refuse(
                f"--to: {name} builds from engine.source.archive, which is one commit; change that, "
                "and run `bramble upgrade` without --to"
            )
    if lock.rolling and lock.rolling.commit == to:
        return lock
    return replace(lock, rolling=Rolling(commit=to))


def _with(lock: Lock, names: Sequence[str]) -> Lock:
    """Return the lock for upgrading these hosts: without pins, and with them in the rollout."""
    from bramble.llama.lock import Rolling

    for name in names:
        lock = lock.with_pin(name, None)
    if lock.rolling is None:
        return lock
    hosts = tuple(dict.fromkeys((*lock.rolling.hosts, *names)))
    return replace(lock, rolling=Rolling(commit=lock.rolling.commit, hosts=hosts))


def _without(lock: Lock, before: Lock, names: Sequence[str]) -> Lock:
    """Return the lock with the earlier pins of these hosts, and without them in the rollout."""
    from bramble.llama.lock import Rolling

    for name in names:
        lock = lock.with_pin(name, before.hosts.get(name))
    if lock.rolling is None:
        return lock
    hosts = tuple(name for name in lock.rolling.hosts if name not in names)
    return replace(lock, rolling=Rolling(commit=lock.rolling.commit, hosts=hosts))


def _ended(inventory: Inventory, lock: Lock) -> Lock:
    """Return the lock with the rollout's commit for the whole fleet, once every host has it."""
    if lock.rolling is None:
        return lock
    meant = {n for n in _serving(inventory) if not _engine(inventory, n).from_archive}
    if not meant <= set(lock.rolling.hosts):
        return lock
    return replace(lock, commit=lock.rolling.commit, rolling=None)


def _roll(
    names: Sequence[str], again: bool, as_json: bool
) -> tuple[dict[str, dict[str, Any]], bool]:
    """Upgrade these hosts at once; return each one's row, and whether the run itself succeeded."""
    more = ["-y", *(["--data", "again=yes"] if again else [])]
    try:
        outcome = driver.run("upgrade", names, *more, show=driver.progress(as_json))
    except KeyboardInterrupt:
        click.echo("Stopped. `bramble upgrade` continues the rollout.", err=True)
        raise click.exceptions.Exit(1) from None
    if outcome.code:
        click.echo(f"The whole log: {outcome.log}", err=True)
    return {name: became(name, outcome) for name in names}, not outcome.code


def became(name: str, outcome: driver.Outcome) -> dict[str, Any]:
    """Return a host's row, from the report."""
    failed = outcome.failed.get(name)
    if name not in outcome.hosts or not outcome.is_whole:
        failed = failed or outcome.cut_off or f"see {outcome.log}"
    proofs = [
        entry["got"]
        for entry in outcome.of("result")
        if (entry["host"], entry["role"], entry["check"]) == (name, _roles()[1], GATE)
    ]
    state = "failed" if failed else "upgraded" if name in outcome.changed else "unchanged"
    serves = [entry["release"] for entry in outcome.of("serves") if entry["host"] == name]
    release = serves[-1] if serves else ""
    return _row(name, state, release, proofs[-1] if proofs else "", failed or "")


def _row(
    host: str, state: str, release: str = "", proof: str = "", why: str = ""
) -> dict[str, Any]:
    return {"host": host, "state": state, "release": release, "proof": proof, "why": why}


def _tell(rows: Sequence[dict[str, Any]], lock: Lock, as_json: bool) -> None:
    """Print each host's result, and end the command."""
    open_roll = lock.rolling.commit if lock.rolling else None
    if as_json:
        click.echo(json.dumps({"rolling": open_roll, "hosts": rows}, indent=2))
    else:
        width = max(len(row["host"]) for row in rows)
        # What failed stands at the end, where people look.
        for row in sorted(rows, key=lambda row: row["state"] == "failed"):
            if options.is_quiet() and row["state"] in ("upgraded", "unchanged"):
                continue
            said = row["why"] or "  ".join(filter(None, (row["release"], row["proof"])))
            click.echo(f"{row['host']:{width}}  {row['state']:9}  {said}".rstrip())
        if open_roll:
            click.echo(f"The rollout of {open_roll} is not over; `bramble upgrade` continues it.")
        summary.tell_total({row["host"]: row["state"] for row in rows})
    bad = any(row["state"] in summary.BAD for row in rows)
    raise click.exceptions.Exit(1 if bad else 0)
