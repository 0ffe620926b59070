"""For people at a terminal: what is wrong first, by host and role; a line for what is well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from bramble.checks import Result
from bramble.layout import wrapped
from bramble.reporting.results import WELL, Checked, in_words, one_line, together, worst

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
        yield from lines_of(
            [result for result in results if verbose or result.status not in WELL], width
        )


def lines_of(results: Sequence[Result], width: int | None) -> Iterator[str]:
    """Yield a line for each result, and below those that are not well what to do, once.

    Those of one role and status that are mended in the same way stand together.
    """
    for results_alike in together(results, lambda one: (one.role, one.status, one.remedy)):
        for result in results_alike:
            yield wrapped(_line(result), width, 8)
        if results_alike[0].status not in WELL:
            yield wrapped(f"{'':10}to do: {one_line(results_alike[0].remedy)}", width)


def _line(result: Result) -> str:
    status = click.style(f"{result.status:7}", fg=_COLOURS.get(result.status))
    wanted = "" if result.status in WELL else f"; wanted: {one_line(result.want)}"
    return f"  {status} {result.role}.{result.check}: {one_line(result.got)}{wanted}"
