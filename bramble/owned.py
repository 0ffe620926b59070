"""Compares what a role writes on a node with what is there, by the steps that a deploy would take.

A planned effect does not prove that it survives the next boot or restart: somebody may have changed
the file behind it. So each role has a check of the files it writes, beside those of effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bramble.checks import Finding, expect, skip, unknown
from bramble.difference import Difference
from bramble.plan import RolePlan
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step

WRITERS = frozenset(
    {
        "apt_source",
        "edit_boot",
        "edit_fstab",
        "remove_files",
        "set_hostname",
        "try_ssh",
        "write_files",
    }
)
"""The programs that write or remove files and lines that a role owns."""

WANT = "every file and line as it was written"
REMEDY = "Deploy again, which writes it again; a change that is to stay belongs in the inventory."
LINES = 3
WIDTH = 70


def as_written(
    plan: RolePlan,
    steps: Iterable[Step],
    look: Snapshot,
    *judged_by: object,
    remedy: str = REMEDY,
) -> Finding:
    """Tell whether a deploy would write nothing; `judged_by` is what else the steps depend on."""
    for seen in (*judged_by, *(look.file(file.path) for file in plan.files)):
        if isinstance(seen, Unknown):
            return unknown(WANT, seen)
    writing = [step for step in steps if step.why and step.program in WRITERS]
    if not writing and not plan.files and not judged_by:
        return skip(WANT, "this role writes nothing on this node")
    return expect(WANT, "; ".join(map(differing, writing)) or WANT, not writing, remedy)


def differing(step: Step) -> str:
    """Return how the node differs from what a step would write; else why the step is due."""
    parts = [part for one in step.diffs for part in _parts(one)]
    return "; ".join(parts) or f"{step.name}: {step.why}"


def _parts(one: Difference) -> Iterator[str]:
    """Yield descriptions of a file's difference: of its text, then of its attributes."""
    if one.before is None:
        yield f"{one.path} is not there"
    elif one.after is None:
        yield f"{one.path} is there, and is not to be"
    elif one.before != one.after:
        yield f"{one.path}: {_changed(list(one.removed), list(one.added))}"
    yield from (f"{one.path}: {seen} and not {planned}" for seen, planned in one.attributes)


def _changed(there: list[str], planned: list[str]) -> str:
    """Describe the lines that are there and not planned, and those that are planned and not there."""
    if len(there) == len(planned) == 1 and len(planned[0]) > WIDTH:
        # One long line, as cmdline.txt is: only some of its words differ.
        before, after = there[0].split(), planned[0].split()
        there = [word for word in before if word not in after]
        planned = [word for word in after if word not in before]
    words = []
    if there:
        words.append(f"has {_several(there)}")
    if planned:
        words.append(f"{'instead of' if there else 'lacks'} {_several(planned)}")
    return " ".join(words) or "differs in its line endings"


def _several(several: Sequence[str]) -> str:
    # Comments only where nothing else differs.
    lines = [_short(line) for line in several if line[:1] != "#"] or [*map(_short, several)]
    more = f" and {len(lines) - LINES} more" if len(lines) > LINES else ""
    return ", ".join(f"`{line}`" for line in lines[:LINES]) + more


def _short(line: str) -> str:
    words = " ".join(line.removesuffix("\\").split())
    return words if len(words) <= WIDTH else f"{words[:WIDTH]}..."
