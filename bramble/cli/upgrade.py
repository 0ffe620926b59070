"""`bramble upgrade` and `bramble rollback`: roll releases and models out to a fleet, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bramble.cli import completing, driver
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, HOST, HOSTS

if TYPE_CHECKING:
    from bramble.inventory.load import Inventory
    from bramble.llama.lock import Lock
    from bramble.outputs import EngineSettings

COMMIT = re.compile(r"[0-9a-f]{40}")
NOT_BEGUN = "not begun"
GATE = "release_passed_the_gate"
"""The check that tells what a release proved on its host."""


@click.command("upgrade")
@HOSTS
@click.option(
    "--canary",
    metavar="HOST",
    shell_complete=completing.hosts,
    help="Host to upgrade first; default: the first one.",
)
@click.option(
    "--batch", default=4, show_default=True, type=click.IntRange(1, 64), help="Hosts at once."
)
@click.option("--to", metavar="COMMIT", help="Commit of llama.cpp (40 digits) for the fleet.")
@click.option("--again", is_flag=True, help="Retry a release or model that a host rejected before.")
@ASK_SUDO_PASSWORD
@AS_JSON
def upgrade(
    hosts: tuple[str, ...],
    canary: str | None,
    batch: int,
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
    bramble upgrade --to 0c1e57098bba43ac29e6e3b677cdceebdd22334f
    bramble upgrade --again pi5-a                  after fixing what it failed at
    """
    from bramble.cli.inventory import loaded_inventory
    from bramble.llama import lock as engine_lock

    inventory = loaded_inventory()
    names = _in_order(inventory, hosts, canary)
    lock = _begun(inventory, engine_lock.read(inventory.folder), names, to)
    if lock.rolling and not to:
        click.echo(f"continuing the rollout of {lock.rolling.commit}", err=True)
    rows: dict[str, dict[str, Any]] = {name: _row(name, NOT_BEGUN) for name in names}
    for several in _batches(names, batch):
        before, lock = lock, _with(lock, several)
        engine_lock.write(inventory.folder, lock)
        found, ok = _roll(several, again, as_json)
        rows |= found
        bad = [name for name, row in found.items() if row["state"] == "failed"]
        lock = _without(lock, before, bad)
        engine_lock.write(inventory.folder, lock)
        if bad or not ok:
            break
    lock = _ended(inventory, lock)
    engine_lock.write(inventory.folder, lock)
    _tell(list(rows.values()), lock, as_json)


def _in_order(inventory: Inventory, hosts: Sequence[str], canary: str | None) -> list[str]:
    """Return the hosts of the rollout, the canary first."""
    from bramble.cli.inventory import chosen_host, refuse

    known, roles = _serving(inventory), " and ".join(_roles())
    for name in (*hosts, *([canary] if canary else [])):
        chosen_host(inventory, name)
        if name not in known:
            refuse(f"{name} does not get the roles {roles}, or is not up")
    names = list(dict.fromkeys(hosts or known))
    if not names:
        refuse(f"no host that is up gets the roles {roles}")
    if canary and canary not in names:
        refuse(f"the canary {canary} is not among the hosts; name it there too")
    return [canary, *(name for name in names if name != canary)] if canary else names


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


def _batches(names: Sequence[str], size: int) -> list[Sequence[str]]:
    """Split the names into the first alone, then groups of `size`."""
    rest = names[1:]
    return [names[:1], *(rest[at : at + size] for at in range(0, len(rest), size))]


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
    options = ["-y", *(["--data", "again=yes"] if again else [])]
    show = driver.be_quiet if as_json else driver.show_line
    try:
        outcome = driver.run("upgrade", names, *options, show=show)
    except KeyboardInterrupt:
        click.echo("Stopped. `bramble upgrade` continues the rollout.", err=True)
        raise click.exceptions.Exit(1) from None
    if outcome.code:
        click.echo(f"The whole log: {outcome.log}", err=True)
    return {name: _became(name, outcome) for name in names}, not outcome.code


def _became(name: str, outcome: driver.Outcome) -> dict[str, Any]:
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
        for row in rows:
            said = row["why"] or "  ".join(filter(None, (row["release"], row["proof"])))
            click.echo(f"{row['host']:{width}}  {row['state']:9}  {said}".rstrip())
        if open_roll:
            click.echo(f"The rollout of {open_roll} is not over; `bramble upgrade` continues it.")
    bad = any(row["state"] in ("failed", NOT_BEGUN) for row in rows)
    raise click.exceptions.Exit(1 if bad else 0)


@click.command("rollback")
@HOST
@ASK_SUDO_PASSWORD
@AS_JSON
def rollback(host: str, as_json: bool) -> None:
    """Roll HOST back to the release that ran there before, and pin it there.

    That release passes the same gate. Deploys leave a pinned host at its release until
    `bramble upgrade` removes the pin. A second rollback reverses the first.

    \b
    bramble rollback pi5-a
    """
    show = driver.be_quiet if as_json else driver.show_line
    outcome = driver.run("rollback", [host], "-y", show=show)
    row = _became(host, outcome)
    _tell_rollback(outcome, row, row["release"], as_json)


def model_rollback(host: str, as_json: bool) -> NoReturn:
    """Roll a host back to the model that served there before, and end the command."""
    show = driver.be_quiet if as_json else driver.show_line
    outcome = driver.run("model_rollback", [host], "-y", show=show)
    row = _became(host, outcome)
    held = [entry["model"] for entry in outcome.of("held") if entry["host"] == host]
    row["model"] = held[0] if held and not row["why"] else ""
    del row["release"]
    _tell_rollback(outcome, row, row["model"], as_json)


def _tell_rollback(
    outcome: driver.Outcome, row: dict[str, Any], to: str, as_json: bool
) -> NoReturn:
    """Print what a host went back to, and end the command."""
    row["state"] = {"upgraded": "rolled back"}.get(row["state"], row["state"])
    if as_json:
        click.echo(json.dumps(row, indent=2))
    else:
        click.echo(f"{row['host']}: {row['state']}: {row['why'] or to}")
    if outcome.code:
        click.echo(f"The whole log: {outcome.log}", err=True)
    raise click.exceptions.Exit(1 if outcome.failed or outcome.code else 0)
