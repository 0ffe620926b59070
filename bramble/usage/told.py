"""Sums of requests for people and for spreadsheets, and what of them is not known."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta

from bramble.sanitize import sanitize
from bramble.usage.sums import Usage, Used

NO_TOKENS = (
    "Tokens are counted by the nodes, which know no client and no name that was asked for: --by node "
    "and --by day have them."
)
NO_NODE = (
    "No host that was asked told of tokens: name the nodes of the gateway too, or no host at all."
)
_LATE = timedelta(minutes=1)


def table(found: Usage) -> list[tuple[str, ...]]:
    """Return rows of text, the head first and the sum of all last."""
    head = (
        "REQUESTS",
        "REFUSED",
        "FAILED",
        "TOKENS IN",
        "TOKENS OUT",
        "WORK",
        "QUEUE",
        "IN",
        "OUT",
    )
    return [(found.by.upper(), *head), *map(_cells, (*found.rows, found.total))]


def _cells(one: Used) -> tuple[str, ...]:
    return (
        sanitize(one.name),
        *map(str, (one.requests, one.refused, one.failed)),
        *("?" if n is None else str(n) for n in (one.tokens_in, one.tokens_out)),
        *(f"{seconds:.1f} s" for seconds in (one.work_s, one.queue_s)),
        *map(_size, (one.bytes_in, one.bytes_out)),
    )


def _size(count: int) -> str:
    """Return bytes in their largest unit."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def as_csv(found: Usage) -> str:
    """Return the sums as CSV; what is not known is empty."""
    made = io.StringIO()
    names = list(Used.model_fields)
    rows = csv.writer(made, lineterminator="\n")
    rows.writerow([found.by, *names[1:]])
    for one in found.rows:
        values = one.model_dump()
        rows.writerow(["" if values[name] is None else _plain(values[name]) for name in names])
    return made.getvalue()


def _plain(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str):
        text = sanitize(value)
        return f"'{text}" if text[:1] in "=+-@" else text
    return value


def lacking(found: Usage) -> Iterator[str]:
    """Yield a sentence for all that is not in the sums, or not whole."""
    if found.by in ("client", "model") and found.rows:
        yield NO_TOKENS
    elif found.rows and found.total.tokens_in is None:
        yield NO_NODE
    for one in found.hosts:
        if one.problem:
            yield f"{one.host} is not in the sums: {one.problem}"
        if one.begins and one.begins > found.since + _LATE:
            when = one.begins.strftime("%Y-%m-%d %H:%M UTC")
            yield f"{one.host}: its journal begins at {when}: what was before is gone"
        if one.lost:
            yield f"{one.host}: journald dropped {one.lost} lines, of which nothing is known"
        if one.unread:
            yield f"{one.host}: {one.unread} lines could not be read"
        if one.left_out:
            yield f"{one.host}: {one.left_out} lines are of more sums than are kept"
