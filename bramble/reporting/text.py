"""For people at a terminal: what is wrong first, by host and role; a line for what is well."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bramble.checks import Result
from bramble.layout import wrapped
from bramble.reporting.results import WELL, Checked, in_words, one_line, worst

_COLOURS = {"pass": "green", "warn": "yellow", "fail": "red", "unknown": "red"}


def text(checked: Checked) -> str:
    """Return the report without colours, for a file."""
    return click.unstyle(for_terminal(checked))


def for_terminal(
    checked: Checked, *, verbose: bool = False, quiet: bool = False, width: int | None = None
) -> str:
    """Return the report with colours, as wide as the terminal.

    `verbose`: with the checks that are well; `quiet`: without the hosts that are well.
    """
    return "".join(f"{line}\n" for line in _lines(checked, verbose, quiet, width))


def _lines(checked: Checked, verbose: bool, quiet: bool, width: int | None) -> Iterator[str]:
    for host, results in checked.hosts.items():
        if quiet and worst(results) in WELL:
            continue
        yield wrapped(f"{click.style(host, bold=True)}: {in_words(results)}", width)
        for result in results:
            if verbose or result.status not in WELL:
                yield from _result(result, width)


def _result(result: Result, width: int | None) -> Iterator[str]:
    """Yield a result's line, and what was wanted and what to do where it is not well."""
    status = click.style(f"{result.status:7}", fg=_COLOURS.get(result.status))
    yield wrapped(f"  {status} {result.role}.{result.check}: {one_line(result.got)}", width, 8)
    if result.status not in WELL:
        for name, said in (("wanted", result.want), ("to do", result.remedy)):
            yield wrapped(f"{'':10}{name}: {one_line(said)}", width)
