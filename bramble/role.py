"""What a role is: its settings, its pure functions and its checks, in one value that mypy checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from bramble.board import Board
from bramble.checks import Check
from bramble.plan import FactsNeeded, Inputs, NodePlan, Outputs, RolePlan, Stranger
from bramble.prepared import Prepared
from bramble.settings import Section
from bramble.snapshot import Snapshot
from bramble.steps import Step

S = TypeVar("S", bound=Section)
P = TypeVar("P", bound=RolePlan)

Steps = tuple[Step, ...]
Action = Literal["steps", "revert", "prune", "again", "candidate", "restart"]
"""What can be done with a role on a node; `steps` makes the node match its plan."""


@dataclass(frozen=True, kw_only=True)
class Role(Generic[S, P]):
    """One role.

    `gives` is the kind of outputs that its plan has for later roles, `takes` are the kinds that it
    reads of earlier ones: it comes after all that give them, and where it is `last`, after all roles
    that are not. `prune`, `again`, `candidate` and `restart` are actions that not every role has. `back`
    returns what a host is planned by to return to what ran there before, or says why it cannot. `beside`
    tells an audit what is there of the role's matter that it does not plan.
    """

    name: str
    settings: type[S]
    facts_needed: Callable[[S, Inputs], FactsNeeded]
    plan: Callable[[S, Board, Inputs], P]
    steps: Callable[[P, NodePlan, Snapshot], Steps]
    revert: Callable[[P, NodePlan, Snapshot], Steps]
    checks: tuple[Check, ...]
    gives: type[Outputs] | None = None
    takes: tuple[type[Outputs], ...] = ()
    last: bool = False
    prune: Callable[[P, NodePlan, Snapshot], Steps] | None = None
    again: Callable[[P, NodePlan, Snapshot], Steps] | None = None
    candidate: Callable[[P, NodePlan, Snapshot], Steps] | None = None
    restart: Callable[[P, NodePlan, Snapshot], Steps] | None = None
    back: Callable[[S, Inputs, Snapshot], Prepared | str] | None = None
    beside: Callable[[P, Snapshot], tuple[Stranger, ...]] | None = None

    def carry(self, action: Action, plan: P, node: NodePlan, snapshot: Snapshot) -> Steps:
        """Return the steps of an action; raise LookupError where the role has no such action."""
        found: Callable[[P, NodePlan, Snapshot], Steps] | None = getattr(self, action)
        if found is None:
            raise LookupError(f"role {self.name} has no action {action}")
        return found(plan, node, snapshot)
