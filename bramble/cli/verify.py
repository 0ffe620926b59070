"""`bramble verify`: check hosts as they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from bramble.cli import driver
from bramble.cli.options import ASK_SUDO_PASSWORD, QUIET
from bramble.cli.reports import ReportFile, chosen, formats, tell
from bramble.cli.selection import hosts as its_hosts

if TYPE_CHECKING:
    from bramble.checks import Result, Status
    from bramble.inventory.selection import Chosen


@click.command("verify")
@formats
@its_hosts()
@click.option(
    "--deep",
    is_flag=True,
    help="Read models back from the disk and hash them, which takes minutes.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Also show the checks that pass or are skipped."
)
@QUIET
@ASK_SUDO_PASSWORD
def verify(
    hosts: Chosen,
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
    bramble verify
    bramble verify pi4 --exclude pi4-c -v
    bramble verify --quiet || bramble verify --json >found.json
    bramble verify --report junit=verify.xml --report html=fleet.html
    bramble verify pi5-a --format nagios
    """
    from bramble.reporting.results import Checked

    form = chosen(form, as_json)
    more = ("-y", "--data", "deep=yes") if deep else ("-y",)
    show = driver.progress(form != "text") if deep else driver.be_quiet
    outcome = driver.run("verify", hosts.names, *more, show=show)
    checked = Checked("verify", time.time(), results_of(outcome))
    tell(checked, form, reports, verbose=verbose)


def results_of(outcome: driver.Outcome) -> tuple[Result, ...]:
    """Return every check's result; a host that could not be checked has a failed one that says why."""
    from bramble.checks import Result

    found = [Result.of(entry) for entry in outcome.by_host("result")]
    checked = {result.host for result in found}
    want, remedy = "a host that can be looked at", f"The whole log: {outcome.log}"
    for host in outcome.hosts or ["all"]:
        if host not in checked:
            why = outcome.failed.get(host)
            said = why or outcome.cut_off or "the run reported nothing of it"
            status: Status = "fail" if why else "unknown"
            found.append(Result(host, "ssh", "reachable", status, want, said, remedy))
    return tuple(found)
