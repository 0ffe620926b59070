"""`bramble up` and `revert`: run deploys on a fleet; and `checks`, which lists what they check."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from bramble.cli import driver, plans, rollout, summary, terminal
from bramble.cli.detailed import DETAILED
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, QUIET, is_quiet
from bramble.cli.selection import hosts as its_hosts
from bramble.cli.terminal import say

if TYPE_CHECKING:
    from bramble.inventory.selection import Chosen


@click.command("up")
@its_hosts()
@click.option("--dry", is_flag=True, help="Show what would change, without changing it.")
@click.option("--diff", is_flag=True, help="Show the differences of files.")
@DETAILED
@rollout.CANARY
@rollout.SERIAL
@rollout.MAX_FAIL
@click.option(
    "-y", "--yes", is_flag=True, help="Do not ask, on a terminal, before anything is done."
)
@QUIET
@ASK_SUDO_PASSWORD
@AS_JSON
def up(
    hosts: Chosen,
    dry: bool,
    diff: bool,
    detailed: bool,
    canary: str | None,
    serial: int | None,
    max_fail: int,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring HOSTs (all by default) to their planned state, then check them.

    On a terminal it shows first how much it would do on each host, and asks; `--yes`, `--json`, or an
    input or output that is no terminal, mean that nobody is asked. The same command continues a run
    that ended early.

    \b
    bramble up                              the whole fleet
    bramble up pi5-a --diff                 one host, with the files' differences
    bramble up pi4 'lab-*' --exclude pi4-c  a group and a pattern, but one
    bramble up --canary pi5-a --serial 4    one alone, then four at once, until one fails
    bramble up --dry                        what would change
    """
    if dry:
        outcome = driver.run("plan", hosts.names, "-y", show=driver.progress(as_json))
        plans.tell(outcome, diff=diff, detailed=detailed, as_json=as_json)
    if detailed:
        raise click.UsageError("--detailed-exitcode is for --dry (and for `bramble plan`)")
    several = rollout.chosen(hosts.names, canary, serial)
    if not (yes or as_json) and terminal.is_person():
        _ask(hosts)
    if not as_json and not is_quiet():
        _tell_interrupted(hosts)
    rows, outcomes = summary.in_turn(
        several,
        lambda names: _run_up(names, diff, as_json),
        max_fail=max_fail,
        first_alone=canary is not None,
    )
    words = {"changed": "changed ({steps}); {checks}", "unchanged": "no changes; {checks}"}
    summary.end(rows, outcomes, words, again="bramble up", as_json=as_json)


def _tell_interrupted(hosts: Chosen) -> None:
    """Say of which hosts the last run did not reach its end, whose it was, and where it stood."""
    from bramble import history, project
    from bramble.sanitize import sanitize

    found = history.interrupted(project.reports(), hosts.names)
    there = hosts.names or (driver.present() if found else ())
    for host, entry in found:
        if host not in there:
            continue
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.began_s))
        stood = entry.hosts[host].standing or "before its first step"
        said = f"{host}: the last run, of {entry.who} at {at}, was interrupted {stood}"
        say(sanitize(f"{said}; this one continues"), err=True)


def _run_up(names: Sequence[str], diff: bool, as_json: bool) -> driver.Outcome:
    more = ["-y"] + (["--diff"] if diff else [])
    try:
        return driver.run("node", names, *more, show=driver.progress(as_json))
    except KeyboardInterrupt:
        click.echo(
            "Stopped. What the nodes have begun continues there; `bramble up` follows it again.",
            err=True,
        )
        raise click.exceptions.Exit(1) from None


def _ask(hosts: Chosen) -> None:
    """Show how much would be done on each host, and end the command where that is not wanted."""
    outcome = driver.run("plan", hosts.names, "-y", show=driver.be_quiet)
    found = plans.plans_of(outcome)
    for entry in found:
        say(plans.in_short(entry), err=True)
    plans.say_failed(outcome)
    # A host that could not be looked at may answer a moment later, and have much to do.
    if len(found) == len(outcome.hosts) and not any(plans.to_do(entry) for entry in found):
        return
    ask = "Do this? (`bramble plan` shows each step; --yes does not ask)"
    if not click.confirm(ask, default=False, err=True):
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(1)


@click.command("revert")
@click.argument("role")
@its_hosts()
@QUIET
@ASK_SUDO_PASSWORD
@AS_JSON
def revert(role: str, hosts: Chosen, as_json: bool) -> None:
    """Revert what ROLE set on HOSTs (all by default), and leave data alone.

    Roles that depend on ROLE are reverted first. `bramble up` sets all of it again.

    \b
    bramble revert watchdog pi5-a
    bramble revert monitoring --group pi4
    """
    from bramble.cli.inventory import refuse
    from bramble.cli.role import known_roles
    from bramble.documents.problems import unknown
    from bramble.registry import dependents

    known = list(known_roles())
    if role not in known:
        refuse(f"no role '{role}'; {unknown(role, known)}")
    for name in dependents(role):
        click.echo(f"{name} depends on {role}: it is reverted first", err=True)
    more = ("-y", "--data", f"role={role}")
    outcome = driver.run("revert", hosts.names, *more, show=driver.progress(as_json))
    again = f"bramble revert {role}"
    print_outcome(outcome, as_json, "reverted", "nothing to revert", again)


def print_outcome(
    outcome: driver.Outcome, as_json: bool, done: str, nothing: str, again: str
) -> NoReturn:
    """Print each host's result, with words for "changed" and "unchanged", and end the command."""
    rows = [
        {key: value for key, value in row.items() if not as_json or "checks" not in key}
        for row in summary.rows_of(outcome)
    ]
    words = {"changed": f"{done} ({{steps}})", "unchanged": nothing}
    summary.end(rows, [outcome], words, again=again, as_json=as_json)


@click.command("checks")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@AS_JSON
def checks(names: tuple[str, ...], as_json: bool) -> None:
    """List every check: its role, the severity of its failure, and what it proves.

    NAMEs limit the list to these roles, or checks as ROLE.CHECK.

    \b
    bramble checks
    bramble checks serving power.voltage_is_enough
    """
    from bramble.cli.role import known_roles

    rows = [
        {"role": c.role, "check": c.name, "severity": c.severity, "proves": c.proves}
        for role, _ in known_roles().values()
        for c in role.checks
    ]
    if names:
        rows = [row for name in names for row in _named(name, rows)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        say(f"{row['role']}.{row['check']} ({row['severity']})\n    {row['proves']}", hang=0)


def _named(name: str, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return a role's checks or one check, or end the command with the closest names."""
    from bramble.cli.inventory import refuse
    from bramble.documents.problems import unknown

    if found := [row for row in rows if name in (row["role"], f"{row['role']}.{row['check']}")]:
        return found
    known = list(dict.fromkeys(row["role"] for row in rows))
    dotted = [f"{row['role']}.{row['check']}" for row in rows]
    if name.partition(".")[0] in known:
        refuse(f"no check '{name}'; {unknown(name, dotted)}")
    refuse(f"no role or check '{name}'; {unknown(name.rpartition('.')[2], known, dotted)}")
