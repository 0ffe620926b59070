"""The end of a fleet command: a line for each host, what failed with its remedy, and the total."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bramble.cli import options, rollout
from bramble.cli.terminal import say
from bramble.sanitize import clean

if TYPE_CHECKING:
    from bramble.cli.driver import Outcome

NOT_BEGUN = "not begun"
BAD = ("failed", "refused", "unknown", NOT_BEGUN)
"""The states of hosts that the total names."""

MOST_NAMES = 12
Row = dict[str, Any]


def rows_of(outcome: Outcome) -> list[Row]:
    """Return what a run did on each of its hosts."""
    return [_row(host, outcome) for host in outcome.hosts]


def not_begun(host: str) -> Row:
    """Return the row of a host whose turn did not come."""
    return _as_row(host, NOT_BEGUN, "", [], [])


def _row(host: str, outcome: Outcome) -> Row:
    results = [entry for entry in outcome.of("result") if entry["host"] == host]
    steps = [entry["step"] for entry in outcome.of("step") if entry["host"] == host]
    failed = outcome.failed.get(host) or outcome.cut_off
    state = "failed" if failed else "changed" if host in outcome.changed else "unchanged"
    return _as_row(host, state, failed or "", steps, results)


def _as_row(
    host: str, state: str, why: str, steps: Sequence[str], results: Sequence[Mapping[str, Any]]
) -> Row:
    return {
        "host": host,
        "state": state,
        "why": why,
        "steps": list(steps),
        "checks_passed": sum(entry["status"] == "pass" for entry in results),
        "checks_skipped": sum(entry["status"] == "skip" for entry in results),
        "checks": len(results),
    }


def in_turn(
    several: Sequence[Sequence[str]],
    run: Callable[[Sequence[str]], Outcome],
    *,
    max_fail: int,
    first_alone: bool,
) -> tuple[list[Row], list[Outcome]]:
    """Run for one group of hosts after the other; return a row for each host, and what runs left."""
    names = [name for part in several for name in part] if len(several) > 1 else []
    rows, outcomes = {name: not_begun(name) for name in names}, []

    def work(hosts: Sequence[str]) -> Sequence[str]:
        outcome = run(hosts)
        outcomes.append(outcome)
        found = {row["host"]: row for row in rows_of(outcome)}
        rows.update(found)
        bad = [name for name, row in found.items() if row["state"] == "failed"]
        return bad or (hosts if outcome.code else [])

    rollout.in_turn(several, work, max_fail=max_fail, first_alone=first_alone)
    return [*rows.values()], outcomes


def end(
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    words: Mapping[str, str],
    *,
    again: str,
    as_json: bool,
) -> NoReturn:
    """Print the rows and what failed, and end the command.

    `words` say "changed" and "unchanged"; `again` is the command that a failed host is given to.
    """
    if as_json:
        click.echo(json.dumps({"hosts": rows}, indent=2))
    else:
        _tell(rows, outcomes, words, again)
    for outcome in outcomes:
        if outcome.code:
            click.echo(f"The whole log: {outcome.log}", err=True)
    if not as_json:
        tell_total({row["host"]: row["state"] for row in rows})
    bad = any(row["state"] in BAD for row in rows) or any(o.code for o in outcomes)
    raise click.exceptions.Exit(1 if bad else 0)


def tell_total(states: Mapping[str, str]) -> None:
    """Print how many hosts are in which state, those in a bad one by their names.

    A single host's own line says it, unless that was not to be printed.
    """
    if len(states) < 2 and not options.is_quiet():
        return
    counts, parts = Counter(states.values()), []
    for state in sorted(counts, key=lambda state: state in BAD):
        names = [name for name, found in states.items() if found == state]
        more = ", ..." if len(names) > MOST_NAMES else ""
        named = f" ({', '.join(names[:MOST_NAMES])}{more})" if state in BAD else ""
        parts.append(f"{counts[state]} {state}{named}")
    say(f"{len(states)} {'host' if len(states) == 1 else 'hosts'}: {', '.join(parts) or 'none'}")


def _tell(
    rows: Sequence[Row], outcomes: Sequence[Outcome], words: Mapping[str, str], again: str
) -> None:
    """Print the hosts that are well, then those that are not, with what to do."""
    failed = [row for row in rows if row["state"] == "failed"]
    for row in rows if not options.is_quiet() else []:
        if row["state"] != "failed":
            said = {NOT_BEGUN: NOT_BEGUN, **words}[row["state"]]
            say(f"{row['host']}: {said.format(steps=', '.join(row['steps']), **_checks(row))}")
    for row in failed:
        say(f"{row['host']}: failed: {_why(row, outcomes)}")
    if failed and not any(outcome.cut_off for outcome in outcomes):
        names = " ".join(row["host"] for row in failed)
        say(f"to do: mend what is said above, then `{again} {names}`")


def _checks(row: Row) -> dict[str, str]:
    skipped = f", {row['checks_skipped']} skipped" if row["checks_skipped"] else ""
    return {"checks": f"{row['checks_passed']} of {row['checks']} checks pass{skipped}"}


def _why(row: Row, outcomes: Sequence[Outcome]) -> str:
    """Say why a host failed: the checks that did not pass with their remedies, else the reason."""
    from bramble.checks import Result
    from bramble.reporting.text import lines_of

    results = [
        Result.of(clean(entry))
        for outcome in outcomes
        for entry in outcome.of("result")
        if entry["host"] == row["host"] and entry["status"] in ("fail", "unknown")
    ]
    if not results:
        return str(row["why"])
    return "\n".join([f"{len(results)} of {row['checks']} checks", *lines_of(results, None)])
