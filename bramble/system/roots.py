"""Folders that root alone may write: what lies in them is believed, so nobody else may put it there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step

OURS = ("/opt/bramble", "/var/lib/bramble")
"""What only bramble makes: there a deploy gives back to root what is another's."""


def above(folder: str) -> tuple[str, ...]:
    """A folder with all that are above it: whoever may write one of them may replace the next."""
    path = PurePosixPath(folder)
    return (*(str(one) for one in reversed(path.parents)), str(path))


def open_to_others(look: Snapshot, paths: Iterable[str]) -> dict[str, str] | Unknown:
    """What others than root may change of these paths, and who; what is not there is nobody's."""
    found = {}
    for path in paths:
        seen = look.file(path)
        if isinstance(seen, Unknown):
            return seen
        if seen and (who := _who(seen)):
            found[path] = who
    return found


def _who(seen: FileState) -> str | None:
    """Who else may change what stands there: its owner, or those that its mode lets."""
    if seen.owner != "root":
        return f"belongs to {seen.owner}"
    if seen.kind == "link":
        return None
    by_group = seen.mode & 0o020 and seen.group != "root"
    # Of a folder such as /tmp nobody may replace what is another's.
    by_all = seen.mode & 0o002 and not (seen.kind == "directory" and seen.mode & 0o1000)
    return "may be written by others" if by_group or by_all else None


def give_back(name: str, look: Snapshot, paths: Sequence[str], forget: Sequence[str]) -> Step:
    """Give those of ours back to root; what was believed of what lies there is forgotten."""
    found = open_to_others(look, paths)
    if isinstance(found, Unknown):
        return Step(name, None)
    ours = [path for path in found if path.startswith(OURS)]
    if not ours:
        return Step(name, None)
    why = "; ".join(f"{path} {found[path]}" for path in ours)
    query = {"paths": ours, "forget": list(forget)}
    return Step(name, why, "give_to_root", query, look_again=True)
