"""The page of planted faults: what is broken, who says so, what to do, and what a checklist sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tests.unit.checklist import CHECKLIST, seen_by_checklist
from tests.unit.planted import Planted, Told, table

INTRODUCTION = """\
# Planted faults

What bramble finds on a node: {count} faults, each planted on a healthy one
(`tests/unit/test_planted_faults.py`).

- **bramble** finds {count} of {count}, each with what to do about it, and none on a healthy node;
- **the checklist** that [article D](articles.md) ends with, typed by hand, sees {seen} of {count}:

| Item | It asks for | Commands | Sees |
|---|---|---|---|
{items}
The faults are those that our own checks are tested with, so that all are found is what is asked of
bramble, and no surprise; the comparison tells how much there is besides five commands. They are
planted in what one look saw of a node, and a look may stand below several checks; faults that commands
plant on virtual Pis are in `tests/nodes/test_main_job.py`. The checklist is judged in its favour: what
a command does not show, or not in the form that the item asks for, counts as seen.

"Told by" is a check ([what it proves](../reference/checks.md)), the step of a deploy that `bramble
audit` tells as drift, or the kind of a finding [beside the
plan](../how-to/audit.md#what-it-finds-beside-the-plan). `bramble audit` tells all of it, but for what
says `verify`, which asks the model, or `verify --deep`, which reads models back from the disk.
`bramble verify` and the end of every deploy tell of checks too.
"""
HEAD = "\n| Told by | What is broken | Remedy | Checklist |\n|---|---|---|---|\n"
Row = tuple[Planted, Told, tuple[str, ...]]


def planted_page() -> str:
    """Return the page."""
    rows: list[Row] = [
        (one, found, seen_by_checklist(one.node.snapshot)) for one, found in _found()
    ]
    items = "".join(
        f"| {item.name} | {item.words} | {item.commands} | {sum(item.name in r[2] for r in rows)} |\n"
        for item in CHECKLIST
    )
    seen = sum(bool(row[2]) for row in rows)
    parts = [INTRODUCTION.format(count=len(rows), seen=seen, items=items)]
    for role, several in groupby(rows, key=lambda row: row[0].role):
        parts.append(f"\n## {'Beside the plan' if role == 'audit' else role}\n{HEAD}")
        parts += _lines(several)
    return "".join(parts)


def _found() -> Iterator[tuple[Planted, Told]]:
    """Yield every fault with who tells it."""
    for one in table():
        told = one.told()
        assert told, f"{one.role}: nobody tells {one.by} {one.what}"
        yield one, told


def _lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line for all faults that are told alike."""
    alike: dict[tuple[Told, tuple[str, ...]], list[Planted]] = {}
    for one, told, seen in rows:
        alike.setdefault((told, seen), []).append(one)
    for (told, seen), several in alike.items():
        how = told.command.removeprefix("bramble ")
        by = f"`{told.by}`" + ("" if how == "audit" else f" ({how})")
        cells = (by, _broken(several), told.remedy, ", ".join(seen) or "no")
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _broken(several: Sequence[Planted]) -> str:
    """Return what is broken, in words: of files each of the same."""
    whats = dict.fromkeys(one.what for one in several)
    files = dict.fromkeys(f"`{one.file}`" for one in several if one.file)
    return f"{', '.join(files)}: {', '.join(whats)}" if files else "; ".join(whats)
