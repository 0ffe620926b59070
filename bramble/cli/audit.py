"""`bramble audit`: what differs from the plan, what is there beside it, and who changed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, HOSTS
from bramble.cli.terminal import say
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.audit.result import Audit, HostAudit, Item

# Importing pydantic is slow: what needs it is imported where it is used, so that --help is quick.

ORDER = ("fail", "unknown", "warn", "waived", "pass", "skip")
"""The worst first."""

COLOURS = {"fail": "red", "unknown": "red", "warn": "yellow", "waived": "cyan", "pass": "green"}
STATES = ("differs", "unknown", "as planned")
WORDS = {"step": "drift", "check": "check"}


@click.command("audit")
@HOSTS
@click.option(
    "--since",
    metavar="FILE|LAST",
    help="Only what differs from an earlier audit: LAST for the newest one in reports/.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Also show the checks that pass or are skipped."
)
@ASK_SUDO_PASSWORD
@AS_JSON
def audit(hosts: tuple[str, ...], since: str | None, verbose: bool, as_json: bool) -> None:
    """Tell how HOSTs (all by default) differ from their plan, without changing them.

    That is each step that a deploy would carry out, each check, and what is there that nobody planned:
    drop-ins, listeners, other owners of swap, packages held, cron, timers, keys, files that others may
    write; with who changed it and when, where the node can tell.

    Exit code 0 for nothing, 2 for what differs or fails, 1 when a host could not be told.

    \b
    bramble audit                  the whole fleet
    bramble audit pi5-a -v         one host, with all that is right
    bramble audit --since LAST     what changed since the last audit
    """
    from bramble.audit import since as earlier
    from bramble.audit.result import Audit, exit_code

    with _errors_apart():
        before = None if since is None else _before(since, hosts)
        outcome = driver.run("audit", hosts, "-y", show=driver.be_quiet)
    found = Audit(at=datetime.now(UTC), hosts=_hosts(outcome))
    file = outcome.report.with_suffix(".json")
    if found.hosts:
        earlier.keep(found, file)
    if before is not None:
        told = earlier.differences(found.hosts, before)
        found = found.model_copy(update={"since": since, "hosts": told})
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        _print(found, verbose, outcome.log)
    raise click.exceptions.Exit(exit_code(found.hosts))


@contextmanager
def _errors_apart() -> Iterator[None]:
    """End with 1 where other commands end with 2, which says here that something differs."""
    try:
        yield
    except click.exceptions.Exit as error:
        raise click.exceptions.Exit(min(error.exit_code, 1)) from None


def _before(since: str, hosts: tuple[str, ...]) -> Audit:
    """Return the earlier audit, or end the command where there is none."""
    from bramble import project
    from bramble.audit import since as earlier
    from bramble.cli.inventory import loaded_inventory, refuse

    try:
        if since != earlier.LAST:
            return earlier.read(Path(since))
        return earlier.last(project.reports(), hosts or tuple(loaded_inventory().hosts))
    except earlier.NoAudit as error:
        refuse(f"--since: {error}")


def _hosts(outcome: driver.Outcome) -> tuple[HostAudit, ...]:
    """Return each host's audit; one that could not be looked at says why."""
    from bramble.audit.result import HostAudit

    fields = HostAudit.model_fields
    told = {
        entry["host"]: HostAudit.model_validate({key: entry[key] for key in fields})
        for entry in outcome.of("audit")
    }
    return tuple(told.get(name) or _untold(name, outcome) for name in outcome.hosts)


def _untold(name: str, outcome: driver.Outcome) -> HostAudit:
    from bramble.audit.result import HostAudit

    why = outcome.failed.get(name) or outcome.cut_off or "the run reported nothing of it"
    return HostAudit(host=name, state="unknown", why=why)


def _print(found: Audit, verbose: bool, log: Path) -> None:
    """Print the hosts, those that differ first, and a summary."""
    from bramble.reporting.results import together

    hosts = sorted(found.hosts, key=lambda host: (STATES.index(host.state), not host.why))
    for host in hosts:
        say(_headline(host, found.since))
        shown = [item for item in host.items if verbose or item.is_told]
        shown.sort(key=lambda item: ORDER.index(item.status))
        # What is mended in the same way stands together, with what to do once.
        for alike in together(shown, lambda item: (item.status, item.kind, _remedy(item))):
            for item in alike:
                _print_item(item)
            if remedy := _remedy(alike[0]):
                say(f"{'':10}to do: {sanitize(remedy)}", hang=12)
    say(_summary(found))
    if any(host.why for host in hosts):
        click.echo(f"The whole log: {log}", err=True)


def _headline(host: HostAudit, since: str | None) -> str:
    name = click.style(host.host, bold=True)
    if host.why:
        return f"{name}: {click.style('not told', fg='red')}: {sanitize(host.why)}"
    counts = Counter[str](item.status for item in host.items)
    told = ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])
    if since is not None:
        return (
            f"{name}: {f'{len(host.items)} changes' if host.items else 'no change'} since {since}"
        )
    return f"{name}: {host.state}; {told}"


def _remedy(item: Item) -> str:
    """Return what to do about an item; nothing for one that is well, gone or waived."""
    done = item.status in ("pass", "skip") or item.change == "gone" or item.waiver
    return "" if done else item.remedy


def _print_item(item: Item) -> None:
    """Print one item: what it is, what was wanted, and who changed it."""
    from bramble.audit.origins import sentence

    status = click.style(f"{item.status:7}", fg=COLOURS.get(item.status))
    word = f"{item.change}: " if item.change else ""
    name = f"{WORDS.get(item.kind, 'beside')} {item.id}"
    is_well = item.change == "gone" or item.status in ("pass", "skip")
    wanted = f"; wanted: {item.want}" if item.kind == "check" and not is_well else ""
    say(f"  {status} {word}{sanitize(name)}: {sanitize(item.got + wanted)}", hang=10)
    if is_well:
        return
    if item.waiver:
        waiver = item.waiver
        said = f"waived by {waiver.owner} until {waiver.until}: {waiver.reason}"
        say(f"{'':10}{sanitize(said)}", hang=12)
    for text in item.diffs:
        lines = sanitize(text, "\n\t").splitlines()
        click.echo("\n".join(f"{'':10}{line}" for line in lines))
    for origin in item.origins:
        say(f"{'':10}{sanitize(sentence(origin))}", hang=12)


def _summary(found: Audit) -> str:
    """Return the last line: how many hosts are as planned, and what the others have."""
    states = Counter("not told" if host.why else host.state for host in found.hosts)
    several = [
        f"{states[state]} {state}"
        for state in ("as planned", "differs", "unknown", "not told")
        if states[state]
    ]
    waived = sum(item.status == "waived" for host in found.hosts for item in host.items)
    more = [f"{waived} waived"] if waived else []
    count = len(found.hosts)
    return f"{count} host{'' if count == 1 else 's'}: {', '.join([*several, *more]) or 'none'}"
