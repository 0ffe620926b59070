"""The rule by which logrotate rotates log2ram's own log, where the package's cannot be read.

Debian's log2ram (1.7.2+ds-1 in Trixie) has its rule in a folder, and logrotate reads no folders there.
"""

from __future__ import annotations

from bramble.plan import File
from bramble.render import render
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, remove_files, write_files

PACKAGES_OWN, RULE = "/etc/logrotate.d/log2ram", "/etc/logrotate.d/bramble-log2ram"
FILES = (PACKAGES_OWN, RULE)
NAMES = "Have log2ram's log rotated", "Leave log2ram's log to its package"


def rule() -> File:
    """Return the rule."""
    return File(path=RULE, text=render("storage/log2ram.logrotate.j2", broken=PACKAGES_OWN))


def steps(snapshot: Snapshot, *, of_debian: bool) -> tuple[Step, Step]:
    """Write the rule where Debian's package lacks one or is still to come; remove it elsewhere."""
    seen = snapshot.file(PACKAGES_OWN)
    if isinstance(seen, Unknown):
        return Step(NAMES[0], None), Step(NAMES[1], None)
    there = isinstance(seen, FileState)
    lacking = of_debian and not (isinstance(seen, FileState) and seen.kind != "directory")
    gone = (RULE,) if there and not lacking else ()
    return (
        write_files(NAMES[0], [rule()] if lacking else (), snapshot),
        remove_files(NAMES[1], gone, snapshot),
    )
