"""What storage wants: the SSD mounted by its UUID, the root without access times."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.board import Board
from bramble.plan import Given, Interests, NodePlan, RolePlan
from bramble.snapshot import Snapshot
from bramble.steps import Step
from roles.storage.disks import BY_ID, FSTAB, Wish
from roles.storage.settings import Settings


@dataclass(frozen=True, kw_only=True)
class StoragePlan(RolePlan):
    """The SSD's settings; `provides` names its mount point as `storage.ssd`, unless it is off.

    That is where an SSD is mounted if the node has one: whoever writes there asks the node first.
    """

    ssd: Wish


def interests(settings: Settings) -> Interests:
    """The disks' own names, and what is mounted at boot."""
    return Interests(files=(FSTAB, f"{BY_ID}/*"), free=(settings.ssd.mount,))


def plan(settings: Settings, board: Board, given: Given) -> StoragePlan:
    """The settings, which do not depend on the board."""
    ssd = Wish(**settings.ssd.model_dump())
    return StoragePlan(ssd=ssd, provides={} if ssd.device == "off" else {"storage.ssd": ssd.mount})


def steps(plan: StoragePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Nothing yet."""
    return ()


def revert(plan: StoragePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Nothing yet."""
    return ()
