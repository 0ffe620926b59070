"""All that strangers are found in: a plan, and what one look saw of its node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bramble.audit.around import Around
from bramble.plan import NodePlan, Stranger
from bramble.snapshot import Snapshot, Unknown

WAIVE = "or waive it."


@dataclass(frozen=True)
class Seen:
    """All that strangers are found in."""

    plan: NodePlan
    snapshot: Snapshot
    around: Around

    @property
    def files(self) -> frozenset[str]:
        """The paths of all planned files."""
        return frozenset(file.path for role in self.plan.roles.values() for file in role.files)

    @property
    def units(self) -> frozenset[str]:
        """The units that are ours: their file or a drop-in of theirs is planned."""
        parts = (path.split("/") for path in self.files if path.startswith("/etc/systemd/system/"))
        return frozenset(words[4].removesuffix(".d") for words in parts)


Find = Callable[[Seen], Iterable[Stranger] | Unknown]
"""How strangers of one kind are found; Unknown where the node does not tell."""
