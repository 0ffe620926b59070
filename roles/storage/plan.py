"""What storage wants: the SSD mounted by its UUID, the root without access times."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.board import Board
from bramble.plan import Given, Interests, NodePlan, RolePlan, together
from bramble.snapshot import Snapshot
from bramble.steps import Step
from roles.storage import logs
from roles.storage.disks import BY_ID, FSTAB, Wish
from roles.storage.settings import Settings


@dataclass(frozen=True, kw_only=True)
class StoragePlan(RolePlan):
    """The SSD's settings; `provides` names its mount point as `storage.ssd`, unless it is off.

    That is where an SSD is mounted if the node has one: whoever writes there asks the node first.
    """

    ssd: Wish
    logs: logs.Wish

    def waits_for_reboot(self, snapshot: Snapshot) -> tuple[str, ...]:
        """log2ram begins at boot, before all that logs."""
        return logs.waits_for_reboot(self.logs, snapshot)


def interests(settings: Settings) -> Interests:
    """The disks' own names, and what is mounted at boot."""
    disks = Interests(files=(FSTAB, f"{BY_ID}/*"), free=(settings.ssd.mount,))
    return together((disks, *logs.interests(settings)))


def plan(settings: Settings, board: Board, given: Given) -> StoragePlan:
    """The settings, which do not depend on the board."""
    ssd = Wish(**settings.ssd.model_dump())
    about_logs = logs.wish(settings, board)
    return StoragePlan(
        files=about_logs.files,
        ssd=ssd,
        logs=about_logs,
        provides={} if ssd.device == "off" else {"storage.ssd": ssd.mount},
    )


def steps(plan: StoragePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """The logs."""
    return logs.steps(plan.logs, snapshot)


def revert(plan: StoragePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """The logs."""
    return logs.revert(snapshot)
