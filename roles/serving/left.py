"""Files that a unit names by their content, and that no unit reads any more."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from bramble.llama.releases import note
from bramble.plan import File
from bramble.roles.serving import chat, router
from bramble.snapshot import Snapshot, Unknown

PATTERNS = (chat.PATTERN, router.PATTERN)


def superfluous(files: Sequence[File], good: str, snapshot: Snapshot) -> list[str]:
    """Return such files of a node that neither the plan nor the last known good unit reads."""
    if isinstance(snapshot.files, Unknown):
        return []
    kept = {file.path for file in files}
    unit = str(note(snapshot, good).get("unit", ""))
    there = (path for path, seen in snapshot.files.items() if seen is not None)
    ours = (path for path in there if any(fnmatchcase(path, one) for one in PATTERNS))
    return [path for path in ours if path not in kept and path not in unit]
