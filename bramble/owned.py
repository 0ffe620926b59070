"""What a role writes on a node, held against what stands there: the same steps that a deploy would take.

An effect that is as planned says nothing of the next boot, nor of the next restart: somebody may have
changed the file that made it. So each role has a check of what it writes, beside those of effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bramble.checks import Finding, expect, skip, unknown
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
REMEDY = "Deploy again, which writes it anew; a change that is to stay belongs in the inventory."
LINES = 3
WIDTH = 70


def as_written(
    plan: RolePlan,
    steps: Iterable[Step],
    look: Snapshot,
    *judged_by: object,
    remedy: str = REMEDY,
) -> Finding:
    """Whether a deploy would write nothing; `judged_by` is what the steps go by besides plain files."""
    for seen in (*judged_by, *(look.file(file.path) for file in plan.files)):
        if isinstance(seen, Unknown):
            return unknown(WANT, seen)
    writing = [step for step in steps if step.why and step.program in WRITERS]
    if not writing and not plan.files and not judged_by:
        return skip(WANT, "this role writes nothing on this node")
    return expect(WANT, "; ".join(map(differing, writing)) or WANT, not writing, remedy)


def differing(step: Step) -> str:
    """What is otherwise than a step would have it, from its differences; without any, why it is due."""
    parts = [part for shown in step.diffs for part in _parts(shown.splitlines())]
    return "; ".join(parts) or f"{step.name}: {step.why}"


def _parts(lines: Sequence[str]) -> Iterator[str]:
    """A difference in words: of each file that it is of what stands there and what is planned."""
    if lines and lines[0].startswith("--- "):
        before, after = lines[0][4:], lines[1][4:]
        lines, body = [], lines[2:]
        if before == "/dev/null":
            yield f"{after} is not there"
        elif after == "/dev/null":
            yield f"{before} is there, and is not to be"
        else:
            yield f"{after}: {_changed(body)}"
            lines = [line for line in body if line[:1] not in ("-", "+", " ", "@")]
    # What else it tells is of mode and owner, or of a secret.
    yield from (line.replace(" -> ", " and not ") for line in lines if line)


def _changed(body: Sequence[str]) -> str:
    """The lines that are there and not planned, and those that are planned and not there."""
    there, planned = ([line[1:] for line in body if line[0] == sign] for sign in "-+")
    if len(there) == len(planned) == 1 and len(planned[0]) > WIDTH:
        # One long line, as cmdline.txt is: only words of it are others.
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
    # Comments only where nothing else is another.
    lines = [_short(line) for line in several if line[:1] != "#"] or [*map(_short, several)]
    more = f" and {len(lines) - LINES} more" if len(lines) > LINES else ""
    return ", ".join(f"`{line}`" for line in lines[:LINES]) + more


def _short(line: str) -> str:
    words = " ".join(line.removesuffix("\\").split())
    return words if len(words) <= WIDTH else f"{words[:WIDTH]}..."
