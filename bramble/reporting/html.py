"""For a browser: one page of the fleet, its hosts, and what kept reports have of them.

The page asks for nothing from elsewhere and runs no script. Every text goes through Jinja's escaping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

import jinja2

from bramble.checks import Result, Status
from bramble.reporting import charts
from bramble.reporting.charts import Chart
from bramble.reporting.history import Benchmarks, History, Look
from bramble.reporting.results import ORDER, WELL, Checked, in_words, utc, worst, wrong

SHOWN = 10
"""How many of the last runs have a column: what a telephone can show."""

SIGNS: dict[Status, str] = {"fail": "✗", "unknown": "?", "warn": "!", "pass": "✓", "skip": "–"}

_CHARTS = (
    ("Temperature", "°C", "temperature_c", ""),
    ("Memory of the server", "MiB", "resident_mib", "planned_mib"),
    ("Speed of the known answer", "tokens/s", "tokens_per_s", ""),
)


@dataclass(frozen=True)
class Row:
    """A check that was not always well, with its status in each shown run; None: it did not run."""

    name: str
    cells: tuple[Status | None, ...]


@dataclass(frozen=True)
class Section:
    """One host's part of the page."""

    name: str
    anchor: str
    status: Status
    counts: str
    since: str
    wrong: tuple[Result, ...]
    results: tuple[Result, ...]
    charts: tuple[tuple[str, Chart | None], ...]
    times: tuple[str, ...]
    rows: tuple[Row, ...]
    looks: tuple[tuple[str, Look], ...]


def text(checked: Checked) -> str:
    """Return the page."""
    sections = [
        _section(number, name, results, checked.history)
        for number, (name, results) in enumerate(checked.hosts.items(), 1)
    ]
    well = sum(section.status in WELL for section in sections)
    page = _environment().get_template("page.html.j2")
    return page.render(
        checked=checked,
        title=f"bramble {checked.command}: {well} of {len(sections)} hosts well",
        sections=sections,
        signs=SIGNS,
        size=charts,
        words=in_words(checked.results),
    )


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )


def _section(number: int, name: str, results: tuple[Result, ...], history: History) -> Section:
    looks = history.looks.get(name, ())
    shown = looks[-SHOWN:]
    return Section(
        name=name,
        anchor=f"host-{number}",
        status=worst(results),
        counts=in_words(results),
        since=_since(worst(results), looks),
        wrong=wrong(results),
        results=results,
        charts=tuple(_drawn(looks, history.benchmarks.get(name))),
        times=tuple(_short(look.at_s) for look in shown),
        rows=tuple(_rows(shown)),
        looks=tuple((_short(look.at_s), look) for look in shown),
    )


def _short(at_s: float) -> str:
    """Return a time in UTC without its year, which is in the head, and without seconds."""
    return utc(at_s)[5:16].replace("T", " ")


def _since(status: Status, looks: Sequence[Look]) -> str:
    """Return since when kept reports have the host in this state; empty where they do not tell."""
    held = [*takewhile(lambda look: _worst(look) == status, reversed(looks))]
    if not held:
        return ""
    more = " or before" if len(held) == len(looks) else ""
    return f"{utc(held[-1].at_s)[:16].replace('T', ' ')} UTC{more}"


def _worst(look: Look) -> Status:
    """Return the worst status that a run found."""
    return min(look.statuses.values(), key=ORDER.index, default="unknown")


def _drawn(looks: Sequence[Look], kept: Benchmarks | None) -> Iterator[tuple[str, Chart | None]]:
    """Yield each chart with its title; None for one of which nothing is known."""
    for title, unit, of, plan in _CHARTS:
        planned = _series(looks, plan) if plan else ()
        yield title, charts.chart(title, unit, _series(looks, of), planned)
    title = f"Benchmarks of {kept.model}" if kept else "Benchmarks"
    yield title, charts.chart(title, "tokens/s", kept.speeds if kept else ())


def _series(looks: Sequence[Look], name: str) -> list[tuple[float, float]]:
    told = [(look.at_s, getattr(look.figures, name)) for look in looks]
    return [(at_s, value) for at_s, value in told if value is not None]


def _rows(looks: Sequence[Look]) -> Iterator[Row]:
    """Yield each check that was not well in one of these runs, the worst first."""
    names = dict.fromkeys(name for look in looks for name in look.statuses)
    rows = [Row(name, tuple(look.statuses.get(name) for look in looks)) for name in names]
    bad = [(row, _places(row)) for row in rows if min(_places(row)) < ORDER.index("pass")]
    yield from (row for row, _ in sorted(bad, key=lambda pair: pair[1][::-1]))


def _places(row: Row) -> list[int]:
    """Return how bad each cell is, in the runs' order."""
    return [len(ORDER) if cell is None else ORDER.index(cell) for cell in row.cells]
