"""Folders that only root may write: what lies in them is trusted, so nobody else may put it there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step

OURS = ("/opt/bramble", "/var/lib/bramble")
"""Folders that only bramble makes: a deploy gives what belongs to others there back to root."""


def above(folder: str) -> tuple[str, ...]:
    """Return a folder and all its parents: whoever may write to one may replace the next."""
    path = PurePosixPath(folder)
    return (*(str(one) for one in reversed(path.parents)), str(path))


def open_to_others(look: Snapshot, paths: Iterable[str]) -> dict[str, str] | Unknown:
    """Return what others than root may change of these paths, with who; absent paths are left out."""
    found = {}
    for path in paths:
        seen = look.file(path)
        if isinstance(seen, Unknown):
            return seen
        if seen and (who := _who(seen)):
            found[path] = who
    return found


def _who(seen: FileState) -> str | None:
    """Say who else may change a file, by owner or mode; return None where nobody may."""
    if seen.owner != "root":
        return f"belongs to {seen.owner}"
    if seen.kind == "link":
        return None
    by_group = seen.mode & 0o020 and seen.group != "root"
    # In a folder with the sticky bit, such as /tmp, nobody may replace what is another's.
    by_all = seen.mode & 0o002 and not (seen.kind == "directory" and seen.mode & 0o1000)
    return "may be written by others" if by_group or by_all else None


def give_back(name: str, look: Snapshot, paths: Sequence[str], forget: Sequence[str]) -> Step:
    """Return the step that gives our folders back to root, and discards what was trusted of them."""
    found = open_to_others(look, paths)
    if isinstance(found, Unknown):
        return Step(name, None)
    ours = [path for path in found if path.startswith(OURS)]
    if not ours:
        return Step(name, None)
    why = "; ".join(f"{path} {found[path]}" for path in ours)
    query = {"paths": ours, "forget": list(forget)}
    return Step(name, why, "give_to_root", query, look_again=True)
