"""`bramble plan`, and the plans of `up --dry` and `upgrade --dry`: what would change."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bramble.cli import driver, options, summary
from bramble.cli.detailed import DETAILED, ERROR, NOTHING, SomethingChanges
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, QUIET
from bramble.cli.selection import hosts as its_hosts
from bramble.cli.terminal import say
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.inventory.selection import Chosen

Plan = Mapping[str, Any]


@click.command("plan")
@its_hosts()
@DETAILED
@QUIET
@ASK_SUDO_PASSWORD
@AS_JSON
def plan(hosts: Chosen, detailed: bool, as_json: bool) -> None:
    """Show what a deploy would change on HOSTs (all by default), from their settings and one look.

    Exit code 0 for a plan, 1 where a deploy would refuse one, or a host could not be looked at.

    \b
    bramble plan pi5-a
    bramble plan 'pi4-*' --exclude pi4-c
    bramble plan --quiet --detailed-exitcode      did anything change?
    """
    outcome = driver.run("plan", hosts.names, "-y", show=driver.be_quiet)
    tell(outcome, diff=True, detailed=detailed, as_json=as_json)


def tell(
    outcome: driver.Outcome,
    *,
    diff: bool,
    detailed: bool,
    as_json: bool,
    roles: Collection[str] | None = None,
) -> NoReturn:
    """Print the plans, or these roles' part of them, and end the command."""
    plans = plans_of(outcome, roles)
    if as_json:
        say_failed(outcome)
        click.echo(json.dumps({"plans": plans}, indent=2))
    else:
        for entry in plans:
            if not options.is_quiet() or to_do(entry) or entry["refused"]:
                _print(entry, diff)
        say_failed(outcome)
        summary.tell_total(_states(plans, outcome))
    refused = any(entry["refused"] for entry in plans)
    if refused or outcome.failed or outcome.code:
        raise click.exceptions.Exit(ERROR)
    if detailed and any(to_do(entry) for entry in plans):
        raise SomethingChanges
    raise click.exceptions.Exit(NOTHING)


def plans_of(outcome: driver.Outcome, roles: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the plans that were made, in the order of the hosts, with the steps of these roles."""
    plans = [
        {key: value for key, value in entry.items() if key not in ("event", "at")}
        for entry in outcome.by_host("plan")
    ]
    for entry in plans if roles is not None else []:
        entry["steps"] = [step for step in entry["steps"] if step["role"] in (roles or ())]
    return plans


def to_do(entry: Plan) -> list[dict[str, Any]]:
    """Return the steps of a plan that have something to do."""
    return [step for step in entry["steps"] if step["why"] is not None]


def in_short(entry: Plan) -> str:
    """Return a line that says how much would be done on a host, by role."""
    counts = Counter(step["role"] for step in to_do(entry))
    if entry["refused"]:
        return f"{entry['host']}: refused: {sanitize(' '.join(entry['refused']))}"
    if not counts:
        return f"{entry['host']}: nothing to do"
    parts = ", ".join(f"{role} {count}" for role, count in counts.items())
    steps = "step" if counts.total() == 1 else "steps"
    return f"{entry['host']}: {counts.total()} {steps}: {parts}"


def _states(plans: Sequence[Plan], outcome: driver.Outcome) -> dict[str, str]:
    """Return one word for each host that was to be planned."""
    made = {entry["host"]: entry for entry in plans}
    states = {}
    for host in outcome.hosts:
        entry = made.get(host)
        if entry is None:
            states[host] = "failed"
        elif entry["refused"]:
            states[host] = "refused"
        else:
            states[host] = "to change" if to_do(entry) else "as planned"
    return states


def say_failed(outcome: driver.Outcome) -> None:
    """Say why hosts have no plan."""
    for host in outcome.hosts if outcome.failed or outcome.cut_off else ():
        if why := outcome.failed.get(host) or outcome.cut_off:
            say(f"{host}: {why}", err=True)


def _print(entry: Plan, diff: bool) -> None:
    steps = to_do(entry)
    click.echo(f"{entry['host']} ({entry['board']['model']}): {len(steps)} steps to do")
    for why in entry["refused"]:
        say(f"  refused, none of them would be done: {why}")
    for why in entry["warned"]:
        say(f"  warning: {why}")
    for step in steps:
        say(f"  {step['role']}: {step['step']}: {step['why']}")
        for text in step["diffs"] if diff else ():
            click.echo(text, nl=False)
    for step in entry["steps"]:
        if step["note"] is not None:
            click.echo(f"  {step['role']}: {step['step']}: left out: {step['note']}")
