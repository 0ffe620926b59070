"""What base wants: its packages, and those of all other roles, in one apt run."""

from __future__ import annotations

from bramble.board import Board
from bramble.plan import Given, Interests, NodePlan, RolePlan
from bramble.snapshot import Snapshot
from bramble.steps import Step, install_packages
from roles.base.settings import Settings

PACKAGES = ("ca-certificates", "curl")


def interests(settings: Settings) -> Interests:
    """The packages' state."""
    return Interests(packages=(*PACKAGES, *settings.packages))


def plan(settings: Settings, board: Board, given: Given) -> RolePlan:
    """The packages, which do not depend on the board."""
    return RolePlan(packages=(*PACKAGES, *settings.packages))


def steps(plan: RolePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """One apt run for the packages of all roles."""
    return (install_packages("Install packages", node.packages, snapshot),)
