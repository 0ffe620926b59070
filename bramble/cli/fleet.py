"""`bramble up`, `revert`, `verify`, `plan` and `checks`: run deploys on a fleet, and list checks."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import driver
from bramble.cli.options import AS_JSON, ASK_SUDO_PASSWORD, HOST, HOSTS
from bramble.cli.reports import ReportFile, chosen, formats, tell, usage_is_unknown
from bramble.cli.terminal import say

if TYPE_CHECKING:
    from bramble.checks import Result, Status


@click.command("up")
@HOSTS
@click.option("--dry", is_flag=True, help="Show what would change, without changing it.")
@click.option("--diff", is_flag=True, help="Show the differences of files.")
@ASK_SUDO_PASSWORD
@AS_JSON
def up(hosts: tuple[str, ...], dry: bool, diff: bool, as_json: bool) -> None:
    """Bring HOSTs (all by default) to their planned state, then check them.

    \b
    bramble up                 the whole fleet
    bramble up pi5-a --diff    one host, with the files' differences
    bramble up --dry           what would change
    """
    if dry:
        outcome = driver.run("plan", hosts, "-y", show=_show(as_json))
        raise click.exceptions.Exit(_print_plans(outcome, diff, as_json))
    options = ["-y"] + (["--diff"] if diff else [])
    try:
        outcome = driver.run("node", hosts, *options, show=_show(as_json))
    except KeyboardInterrupt:
        click.echo(
            "Stopped. What the nodes have begun continues there; `bramble up` follows it again.",
            err=True,
        )
        raise click.exceptions.Exit(1) from None
    summary = [_state_of(host, outcome) for host in outcome.hosts]
    if as_json:
        click.echo(json.dumps({"hosts": summary}, indent=2))
    for entry in summary if not as_json else []:
        say(_summary_line(entry))
    if outcome.code:
        click.echo(f"The whole log: {outcome.log}", err=True)
    raise click.exceptions.Exit(1 if outcome.failed or outcome.code else 0)


def _show(as_json: bool) -> Any:
    return driver.be_quiet if as_json else driver.show_line


def _state_of(host: str, outcome: driver.Outcome) -> dict[str, Any]:
    """Return one host's part of the summary."""
    results = [entry for entry in outcome.of("result") if entry["host"] == host]
    failed = outcome.failed.get(host) or outcome.cut_off
    state = "failed" if failed else "changed" if host in outcome.changed else "unchanged"
    return {
        "host": host,
        "state": state,
        "why": failed or "",
        "steps": [entry["step"] for entry in outcome.of("step") if entry["host"] == host],
        "checks_passed": sum(entry["status"] == "pass" for entry in results),
        "checks_skipped": sum(entry["status"] == "skip" for entry in results),
        "checks": len(results),
    }


def _summary_line(entry: dict[str, Any]) -> str:
    skipped = f", {entry['checks_skipped']} skipped" if entry["checks_skipped"] else ""
    checks = f"{entry['checks_passed']} of {entry['checks']} checks pass{skipped}"
    words = {
        "failed": f"failed: {entry['why']}",
        "changed": f"changed ({', '.join(entry['steps'])}); {checks}",
        "unchanged": f"no changes; {checks}",
    }
    return f"{entry['host']}: {words[entry['state']]}"


@click.command("revert")
@click.argument("role")
@HOSTS
@ASK_SUDO_PASSWORD
@AS_JSON
def revert(role: str, hosts: tuple[str, ...], as_json: bool) -> None:
    """Revert what ROLE set on HOSTs (all by default), and leave data alone.

    Roles that depend on ROLE are reverted first. `bramble up` sets all of it again.

    \b
    bramble revert memory pi5-a
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
    outcome = driver.run("revert", hosts, "-y", "--data", f"role={role}", show=_show(as_json))
    print_outcome(outcome, as_json, "reverted", "nothing to revert")


def print_outcome(outcome: driver.Outcome, as_json: bool, done: str, nothing: str) -> None:
    """Print each host's result, with words for "changed" and "unchanged", and end the command."""
    summary = [
        {key: value for key, value in _state_of(host, outcome).items() if "checks" not in key}
        for host in outcome.hosts
    ]
    if as_json:
        click.echo(json.dumps({"hosts": summary}, indent=2))
    for entry in summary if not as_json else []:
        words = {
            "failed": f"failed: {entry['why']}",
            "changed": f"{done} ({', '.join(entry['steps'])})",
            "unchanged": nothing,
        }
        say(f"{entry['host']}: {words[entry['state']]}")
    if outcome.code:
        click.echo(f"The whole log: {outcome.log}", err=True)
    raise click.exceptions.Exit(1 if outcome.failed or outcome.code else 0)


@click.command("verify")
@HOSTS
@click.option(
    "--deep",
    is_flag=True,
    help="Read models back from the disk and hash them, which takes minutes.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Also show the checks that pass or are skipped."
)
@ASK_SUDO_PASSWORD
@formats
def verify(
    hosts: tuple[str, ...],
    deep: bool,
    verbose: bool,
    form: str | None,
    reports: tuple[ReportFile, ...],
    as_json: bool,
) -> None:
    """Check HOSTs (all by default) as they are, without changing them.

    Each host has a line with counts, and below it the checks that do not pass, by role, the worst first.

    Exit code 0 when no check fails, 1 when one fails or a host could not be checked, 3 when the result
    of one is unknown, 2 when a report could not be written; with --format nagios its own: 0 OK,
    1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    \b
    bramble verify pi5-a -v
    bramble verify --report junit=verify.xml --report html=fleet.html
    bramble verify pi5-a --format nagios
    """
    from bramble.reporting.results import Checked

    form = chosen(form, as_json)
    options = ("-y", "--data", "deep=yes") if deep else ("-y",)
    show = _show(form != "text") if deep else driver.be_quiet
    with usage_is_unknown(form):
        outcome = driver.run("verify", hosts, *options, show=show)
    checked = Checked("verify", time.time(), _results(outcome))
    raise click.exceptions.Exit(tell(checked, form, reports, verbose=verbose))


def _results(outcome: driver.Outcome) -> tuple[Result, ...]:
    """Return every check's result; a host that could not be checked has a failed one that says why."""
    from bramble.checks import Result

    fields = Result.__dataclass_fields__
    found = [Result(**{name: entry[name] for name in fields}) for entry in outcome.of("result")]
    checked = {result.host for result in found}
    want, remedy = "a host that can be looked at", f"The whole log: {outcome.log}"
    for host in outcome.hosts or ["all"]:
        if host not in checked:
            why = outcome.failed.get(host)
            said = why or outcome.cut_off or "the run reported nothing of it"
            status: Status = "fail" if why else "unknown"
            found.append(Result(host, "ssh", "reachable", status, want, said, remedy))
    return tuple(found)


@click.command("plan")
@HOST
@ASK_SUDO_PASSWORD
@AS_JSON
def plan(host: str, as_json: bool) -> None:
    """Show what a deploy would change on HOST, from its settings and one look at it.

    \b
    bramble plan pi5-a
    """
    outcome = driver.run("plan", [host], "-y", show=driver.be_quiet)
    raise click.exceptions.Exit(_print_plans(outcome, True, as_json))


def _print_plans(outcome: driver.Outcome, diff: bool, as_json: bool) -> int:
    """Print the plans; return the exit code, which is 1 where a deploy would refuse one."""
    plans = [
        {key: value for key, value in entry.items() if key not in ("event", "at")}
        for entry in outcome.of("plan")
    ]
    if as_json:
        _say_failed(outcome)
        click.echo(json.dumps({"plans": plans}, indent=2))
    else:
        for entry in plans:
            _print_plan(entry, diff)
        _say_failed(outcome)
    refused = any(entry["refused"] for entry in plans)
    return 1 if refused or outcome.failed or outcome.code else 0


def _say_failed(outcome: driver.Outcome) -> None:
    """Say why hosts have no plan."""
    for host in outcome.hosts if outcome.failed or outcome.cut_off else ():
        if why := outcome.failed.get(host) or outcome.cut_off:
            say(f"{host}: {why}", err=True)


def _print_plan(entry: dict[str, Any], diff: bool) -> None:
    steps = [step for step in entry["steps"] if step["why"] is not None]
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


@click.command("checks")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@AS_JSON
def checks(names: tuple[str, ...], as_json: bool) -> None:
    """List every check: its role, the severity of its failure, and what it proves.

    NAMEs limit the list to these roles, or checks as ROLE.CHECK.

    \b
    bramble checks
    bramble checks memory serving.model_answers --json
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
