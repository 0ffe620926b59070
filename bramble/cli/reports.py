"""`--format` and `--report`: how commands that check hosts tell what they found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bramble import durable
from bramble.cli import options
from bramble.cli.options import AS_JSON
from bramble.remote import atomic

if TYPE_CHECKING:
    from bramble.reporting.results import Checked

NAMES = ("text", "json", "junit", "tap", "nagios", "prometheus", "csv", "html")
"""As in bramble/reporting/formats.py, whose imports would slow `--help` down."""

_WORDS = {"fail": "failed", "unknown": "unknown", "warn": "with warnings"}
"""What a host is called by its worst check; else it is well."""


@dataclass(frozen=True)
class ReportFile:
    """A file that a report goes to, and its format."""

    form: str
    file: Path


def _report_files(
    _context: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> tuple[ReportFile, ...]:
    """Read each FORMAT=FILE, before any connection, and refuse a file that cannot be written."""
    reports = tuple(map(_report_file, values))
    files = [report.file.absolute() for report in reports]
    if twice := next((file for file in files if files.count(file) > 1), None):
        raise click.BadParameter(f"two reports go to {twice}: give each a file of its own")
    return reports


def _report_file(value: str) -> ReportFile:
    form, _, name = value.partition("=")
    if form not in NAMES or not name:
        allowed = f"FORMAT=FILE, FORMAT one of {', '.join(NAMES)}"
        raise click.BadParameter(f"found {value!r}, allowed: {allowed}")
    file = Path(name).expanduser()
    if problem := _problem(file):
        raise click.BadParameter(f"{file} cannot be written: {problem}")
    return ReportFile(form, file)


def _problem(file: Path) -> str | None:
    """Say why a file cannot be replaced; None where it can."""
    folder = file.absolute().parent
    if not folder.is_dir():
        return f"{folder} is no folder; make it first"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"you may not write into {folder}"
    if file.is_dir():
        return "it is a folder; name a file in it"
    return atomic.refusal(str(file))


class Told(click.exceptions.Exit):
    """The end of a command that told what it found."""


def formats(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its options: `form`, `as_json` and `reports`."""

    @wraps(command)
    def telling(**said: Any) -> None:
        with _usage_is_unknown(said["form"]):
            command(**said)

    found: Callable[..., None] = AS_JSON(telling)
    found = click.option(
        "--report",
        "reports",
        multiple=True,
        callback=_report_files,
        metavar="FORMAT=FILE",
        help="Write a report into a file besides; repeatable.",
    )(found)
    return click.option(
        "--format",
        "form",
        type=click.Choice(NAMES),
        help="What is printed (docs/how-to/reports.md); text by default.",
    )(found)


def chosen(form: str | None, as_json: bool) -> str:
    """Return the format to print; refuse options that contradict each other."""
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json is --format json, and --format {form} is there too")
    return "json" if as_json else form or "text"


@contextmanager
def _usage_is_unknown(form: str | None) -> Iterator[None]:
    """Tell Nagios, to which 2 is critical, that a command with a wrong inventory checked nothing."""
    try:
        yield
    except Told:
        raise
    except click.exceptions.Exit as ended:
        if form != "nagios" or not ended.exit_code:
            raise
        click.echo("UNKNOWN: nothing was checked: the command's standard error says why")
        raise click.exceptions.Exit(3) from None


def tell(checked: Checked, form: str, reports: Sequence[ReportFile], *, verbose: bool) -> NoReturn:
    """Print the results, write the reports, and end the command."""
    from bramble.checks import exit_code
    from bramble.cli import summary
    from bramble.cli.terminal import width
    from bramble.reporting import formats, nagios, text
    from bramble.reporting.results import worst

    if {form, *(report.form for report in reports)} & set(formats.WITH_HISTORY):
        checked = _with_history(checked)
    if form == "text":
        said = text.for_terminal(checked, verbose=verbose, quiet=options.is_quiet(), width=width())
        click.echo(said, nl=False)
        summary.tell_total(
            {host: _WORDS.get(worst(found), "well") for host, found in checked.hosts.items()}
        )
    else:
        click.echo(formats.written(form, checked), nl=False)
    for report in reports:
        _write(report.file, formats.written(report.form, checked))
    if form == "nagios":
        raise Told(nagios.exit_code(checked))
    raise Told(exit_code(checked.results) if checked.results else 3)


def _with_history(checked: Checked) -> Checked:
    from bramble import project
    from bramble.reporting import benchmarks, history

    found = history.kept(project.reports())
    speeds, unreadable = benchmarks.kept(project.folder(), checked.hosts)
    more = replace(found, benchmarks=speeds, unreadable=found.unreadable + unreadable)
    return replace(checked, history=more)


def _write(file: Path, text: str) -> None:
    """Replace a file by one rename, or end the command with why that failed."""
    from bramble.cli.inventory import refuse

    try:
        durable.replace(file, text)
    except OSError as error:
        refuse(f"{file} cannot be written: {error.strerror}")
    click.echo(f"wrote {file}", err=True)
