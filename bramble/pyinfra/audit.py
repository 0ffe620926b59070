"""Audit a node from one look at it: what differs from its plan is told, and fails the host here."""

from __future__ import annotations

from datetime import UTC, datetime

from pyinfra.api import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.context import ctx_host

from bramble import registry
from bramble.audit import around, facts
from bramble.audit.judge import NOT_ASKED, Judged, judge
from bramble.audit.result import HostAudit, Item
from bramble.audit.settings import AuditSettings
from bramble.checks import CHAT, Task, run_all
from bramble.plan import NodePlan
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.run import PlannedNode, gather_facts, impossible, steps_of
from bramble.pyinfra.session import in_words, nothing_done, refuse, this_run
from bramble.pyinfra.telling import say
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import at_once


class Quiet:
    """A node as one look saw it, of which nothing more is asked."""

    def __init__(self, plan: NodePlan, snapshot: Snapshot) -> None:
        self.plan = plan
        self.snapshot = snapshot

    def ask(self, url: str, question: str, task: Task = CHAT, model: str = "") -> Unknown:
        """Ask nothing: the server would write it into its log."""
        return NOT_ASKED

    def read_back(self, path: str) -> None:
        """Read nothing back."""


def audit() -> OperationMeta:
    """Look at the host once, and tell what differs from its plan; return the operation's meta."""
    found: OperationMeta = _told(gather_facts(None, facts.FACTS_NEEDED, facts.PROGRAM))
    return found


@in_words
def _told(node: PlannedNode) -> OperationMeta:
    """Report what was found, and fail the host where something differs or is not known."""
    if node.plan is None:
        return nothing_done()
    own = ctx_host.get()
    found = judged(node)
    this_run().report.write("audit", **found.model_dump(mode="json"))
    this_run().report.write_all("result", [result.as_dict() for result in found.results()])
    _say(own, found)
    wrong = [item for item in found.items if item.status in ("fail", "unknown")]
    if wrong:
        return refuse(name="Audit the node", problem=Problem("\n".join(map(sentence, wrong))))
    return nothing_done()


def judged(node: PlannedNode) -> HostAudit:
    """Judge a node that was looked at, by the inventory's waivers of today."""
    plan, look = node.plan, node.snapshot
    assert plan is not None
    steps = {name: steps_of(node, name) for name in plan.roles}
    roles = [role for role in registry.roles() if role.name in plan.roles]
    checks = tuple(check for role in roles for check in role.checks)
    settings = (node.settings or {}).get("audit")
    return judge(
        Judged(
            plan=plan,
            snapshot=look,
            around=around.read(look.beside),
            steps=steps,
            results=run_all(Quiet(plan, look), checks),
            refusals=tuple(
                dict.fromkeys((*plan.refusals, *at_once(steps.values()), *impossible(node)))
            ),
            strangers=tuple(
                stranger
                for role in roles
                if role.beside
                for stranger in role.beside(plan.roles[role.name], look)
            ),
        ),
        settings.waivers if isinstance(settings, AuditSettings) else (),
        datetime.now(UTC).date(),
    )


def _say(own: Host, found: HostAudit) -> None:
    """Say how it stands, and what does not fail the host."""
    passed = sum(item.status == "pass" for item in found.items)
    say(own, f"{found.state}; {passed} checks pass")
    for item in found.items:
        if item.status in ("warn", "waived"):
            say(own, sentence(item), "yellow")


def sentence(item: Item) -> str:
    """Return an item as one line."""
    waiver = item.waiver
    until = f" until {waiver.until} by {waiver.owner}: {waiver.reason}" if waiver else ""
    return f"{item.id}: {item.status}{until}: {item.got}. {item.remedy}".rstrip()
