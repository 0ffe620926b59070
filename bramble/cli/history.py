"""`bramble history`: what ran when, by whom and with what result."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import completing
from bramble.cli.options import AS_JSON
from bramble.cli.terminal import width
from bramble.sanitize import sanitize

if TYPE_CHECKING:
    from bramble.history import Did, Entry

LONGEST = 160
BAD = ("failed", "unfinished")


@click.command("history")
@click.argument("host", required=False, metavar="[HOST]", shell_complete=completing.hosts)
@click.option(
    "-n",
    "--last",
    default=20,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="How many runs.",
)
@AS_JSON
def history(host: str | None, last: int, as_json: bool) -> None:
    """Show the last runs, or those that HOST was in: when, who, which command, with what result.

    It reads the project's reports/, of which BRAMBLE_KEEP_REPORTS (500 by default, 0: all) are kept.

    \b
    bramble history
    bramble history pi5-a -n 5
    bramble history --json
    """
    found = list(islice(_runs(host), last))
    if as_json:
        click.echo(json.dumps({"runs": [_as_dict(entry) for entry in found]}, indent=2))
    elif found:
        _print(found, host)
    else:
        click.echo(f"No run {f'with {sanitize(host)} ' if host else ''}is kept.", err=True)


def _runs(host: str | None) -> Iterator[Entry]:
    """Yield the runs, or a host's, the newest first, and tell of reports that cannot be read."""
    from bramble import project
    from bramble.history import Entry, entries

    for entry in entries(project.reports()):
        if not isinstance(entry, Entry):
            click.echo(sanitize(f"{entry} cannot be read and is left out"), err=True)
        elif host is None or host in entry.hosts:
            yield entry


def _as_dict(entry: Entry) -> dict[str, Any]:
    return {
        "began": _when(entry.began_s, "%Y-%m-%dT%H:%M:%S%z"),
        "seconds": _seconds(entry),
        "who": entry.who,
        "command": entry.command,
        "complete": entry.is_whole,
        "report": str(entry.file),
        "hosts": [
            {"host": name, "state": did.state, "steps": list(did.steps), "why": did.why}
            for name, did in entry.hosts.items()
        ],
    }


def _print(found: list[Entry], host: str | None) -> None:
    from bramble.layout import table

    rows: list[tuple[str, ...]] = [("WHEN", "TOOK", "WHO", "COMMAND", "RESULT")]
    for entry in found:
        seconds = _seconds(entry)
        took = "" if seconds is None else f"{seconds:.0f} s"
        result = _result(entry.hosts[host]) if host else _results(entry)
        said = (sanitize(word)[:LONGEST] for word in (entry.who, entry.command, result))
        rows.append((_when(entry.began_s, "%Y-%m-%d %H:%M"), took, *said))
    click.echo("\n".join(table(rows, width())))


def _result(did: Did) -> str:
    """Say what was done on one host."""
    said = did.why or did.standing or ", ".join(did.steps)
    return f"{did.state}: {said}" if said else did.state


def _results(entry: Entry) -> str:
    """Say how many hosts ended how, those that did not end well by their names."""
    counts = Counter(did.state for did in entry.hosts.values())
    parts = []
    for state, count in counts.items():
        names = [name for name, did in entry.hosts.items() if did.state == state]
        parts.append(f"{count} {state}" + (f" ({', '.join(names)})" if state in BAD else ""))
    return ", ".join(parts)


def _seconds(entry: Entry) -> float | None:
    return None if entry.ended_s is None else round(entry.ended_s - entry.began_s, 1)


def _when(at_s: float, form: str) -> str:
    return time.strftime(form, time.localtime(at_s))
