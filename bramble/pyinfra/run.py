"""Gather facts of a host, plan it, and execute its roles: what deploys are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import click
from pyinfra.api import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.context import ctx_host, host, state

from bramble import fleet, registry
from bramble.board import Board, board, refusals
from bramble.documents.problems import unknown
from bramble.fit.ahead import with_header
from bramble.plan import FactsNeeded, Inputs, NodePlan, look_at, make
from bramble.prepared import Prepared
from bramble.pyinfra import (
    alone,
    connection,
    delivery,
    model_header,
    peers,
    reboot,
    releases,
    rolling,
    standing,
)
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.session import Work, in_words, nothing_done, on_host, refuse, this_run
from bramble.pyinfra.telling import say
from bramble.role import Action
from bramble.sanitize import sanitize
from bramble.settings import Section
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step, as_dict, at_once

Amend = Callable[[Mapping[str, Section], Inputs, Snapshot], Prepared | str]
"""Return what else a host is planned by, decided by its look; or an error message."""


@dataclass(frozen=True)
class PlannedNode:
    """One host of this run: its plan, its latest look, and why it is refused.

    Without `settings` later looks do not change its plan.
    """

    plan: NodePlan | None
    snapshot: Snapshot
    query: dict[str, object]
    refused: tuple[str, ...] = ()
    settings: Mapping[str, Section] | None = None
    prepared: Prepared = field(default_factory=Prepared)

    def at(self, snapshot: Snapshot) -> PlannedNode | Problem:
        """Return the same host at a later look, planned again: another boot may have other memory."""
        if self.plan is None or self.settings is None:
            return replace(self, snapshot=snapshot)
        found = board(snapshot)
        if isinstance(found, Unknown):
            return Problem(f"The node did not say what it is: {found.why}.")
        roles = registry.roles_of(self.settings)
        plan = make(self.plan.host, self.settings, found, roles, self.prepared)
        if plan.refusals and not self.plan.refusals:
            return Problem(" ".join(plan.refusals))
        return replace(self, plan=plan, snapshot=snapshot)


def gather_facts(
    amend: Amend | None = None, more: FactsNeeded | None = None, program: str = "probe"
) -> PlannedNode:
    """Look at the host once and plan it; refuse a host that must not be provisioned.

    `more` is what the look must see besides what the roles ask for; `program` takes it.
    """
    found: object = _gathered(amend, more, program)
    return found if isinstance(found, PlannedNode) else PlannedNode(None, Snapshot(), {})


def accepted() -> PlannedNode:
    """Return this host's node, planned and accepted at its first use in this run."""
    seen = this_run().of(ctx_host.get())
    if not isinstance(seen.node, PlannedNode):
        seen.node = gather_facts()
        accept(seen.node)
    return seen.node


@in_words
def _gathered(amend: Amend | None, more: FactsNeeded | None, program: str) -> PlannedNode:
    run, own = this_run(), ctx_host.get()
    settings, prepared = fleet.of_data(own.name, own.data.bramble)
    roles = registry.roles_of(settings)
    query = look_at(own.name, settings, roles, prepared, more)
    snapshot = connection.look(own, query, program)
    found = board(snapshot)
    reasons = refusals(snapshot)
    if isinstance(found, Unknown):
        reasons = reasons or (f"The node did not say what it is: {found.why}.",)
    if amend and not reasons:
        amended = amend(settings, Inputs(own.name, prepared=prepared), snapshot)
        if isinstance(amended, str):
            reasons = (amended,)
        else:
            prepared = amended
    if not reasons:
        by_node = model_header.by_node(own)
        prepared = with_header(own.name, settings, prepared, snapshot, partial(say, own), by_node)
    run.report.write(
        "host", host=own.name, state="refused" if reasons else "connected", why=" ".join(reasons)
    )
    if reasons or not isinstance(found, Board):
        refuse(name="Refuse the host", problem=Problem("\n".join(reasons)))
        return PlannedNode(None, snapshot, query, reasons)
    plan = make(own.name, settings, found, roles, prepared)
    return PlannedNode(plan, snapshot, query, settings=settings, prepared=prepared)


@in_words
def accept(node: PlannedNode) -> None:
    """Print warnings, and refuse a plan that cannot work, before anything is changed."""
    if node.plan is None:
        return
    for warning in node.plan.warnings:
        say(host, warning, "yellow")
    if node.plan.refusals:
        refuse(name="Refuse the plan", problem=Problem("\n".join(node.plan.refusals)))
    elif node.plan is not None and node.plan.pins:
        hold_to_pins(name="See that what is pinned can be had", node=node)


@on_host
def hold_to_pins(node: PlannedNode) -> str | Work:
    """Fail the host, before anything is changed, where what engine.lock pins is not available.

    Only during execution is it known which releases all hosts of the run can provide.
    """
    reasons = impossible(node) if state.is_executing else ()
    return (lambda _host: Problem("\n".join(reasons))) if reasons else "what is pinned can be had"


def impossible(node: PlannedNode) -> tuple[str, ...]:
    """Return why this host's pins cannot be met."""
    if node.plan is None or not node.plan.pins:
        return ()
    several = [steps_of(node, name) for name in node.plan.roles]
    lacking = (releases.lacking(step) for steps in several for step in steps)
    return (*at_once(several), *(why for why in lacking if why))


def unknown_roles(*names: str) -> Problem | None:
    """Return the problem of names that no role has, each with the one that may be meant."""
    known = [role.name for role in registry.roles()]
    wrong = [f"no role '{name}'; {unknown(name, known)}" for name in names if name not in known]
    return Problem("\n".join(wrong)) if wrong else None


@in_words
def execute(node: PlannedNode, role: str, action: Action = "steps") -> OperationMeta:
    """Execute a role's steps and return the meta; a role with nothing to do costs no remote command.

    It makes no operation either, unless an earlier one could give it something to do. An unknown name
    fails the host.
    """
    if misspelt := unknown_roles(role):
        return refuse(name="Execute the role", problem=misspelt)
    if node.plan is None or role not in node.plan.roles:
        return nothing_done()
    own, steps = ctx_host.get(), steps_of(node, role, action)
    for step in steps:
        # pyinfra's `host` changes with the context; what is registered must be this host.
        releases.expect(own, step)
        peers.expect(own, step)
    this_run().of(own).standing.expect(role, _due(steps))
    if not own.op_hash_order and all(step.why is None for step in steps):
        if action == "steps":
            this_run().of(own).executed.append(role)
        return nothing_done()
    name = role if action == "steps" else f"{role}: {action}"
    return carry_out(name=name, node=node, role=role, action=action)


def steps_of(node: PlannedNode, role: str, action: Action = "steps") -> tuple[Step, ...]:
    """Return a role's steps by the latest look, for an action."""
    assert node.plan is not None
    return registry.role(role).carry(action, node.plan.roles[role], node.plan, node.snapshot)


def as_it_is(own: Host, node: PlannedNode) -> PlannedNode | Problem:
    """Return the node at its latest look; look again where another's operation has changed it since."""
    run = this_run()
    if run.others_changed(own):
        return seen_again(own, node)
    seen = run.of(own).snapshot
    return node if seen is None else node.at(seen)


def seen_again(own: Host, node: PlannedNode) -> PlannedNode | Problem:
    """Look at the node again, and return it with its new plan."""
    seen = connection.look(own, node.query)
    if isinstance(seen.system, Unknown):
        return Problem(seen.system.why)
    this_run().looked(own, seen)
    return node.at(seen)


@on_host
def carry_out(node: PlannedNode, role: str, action: Action) -> str | Work:
    """Execute a role's steps in order, each only if there is a reason.

    Processes do not survive a reboot, nor do files in memory: what follows a reboot, or a step that
    later ones depend on, is decided by a new look and a new plan.
    """
    own = ctx_host.get()
    now = as_it_is(own, node) if state.is_executing else node
    if isinstance(now, Problem):
        return lambda _host: now
    due = [step for step in steps_of(now, role, action) if step.why is not None]
    if not state.is_executing:
        for step in due:
            _tell(own, step)
    if not due:
        if state.is_executing:
            _over(own, role, action)
        return "as planned"
    return lambda host: _executed(host, node, role, action)


def _due(steps: Sequence[Step]) -> int:
    return sum(step.why is not None for step in steps)


def _over(own: Host, role: str, action: Action) -> None:
    """Remember that a role has nothing left to do."""
    seen = this_run().of(own)
    seen.standing.over(role)
    if action == "steps":
        seen.executed.append(role)


def _tell(own: Host, step: Step, words: str = "") -> None:
    say(own, f"{words or step.name}: {step.why}")
    if state.config.DIFF:
        for difference in step.diffs:
            click.echo(sanitize(difference.unified, "\n\t"), err=True, nl=False)


def _executed(own: Host, node: PlannedNode, role: str, action: Action) -> bool | Problem:
    """Execute a role's steps by the latest look; return False when one failed, which was reported."""
    held = alone.hold(own)
    if isinstance(held, Problem):
        return held
    # Whom this run waited for may have changed the node.
    now = seen_again(own, node) if held else as_it_is(own, node)
    if isinstance(now, Problem):
        return now
    steps = steps_of(now, role, action)
    for number in range(len(steps)):
        step = steps[number]
        if step.why is None:
            continue
        turn = this_run().of(own).standing.begin(role, _due(steps[number:]))
        _tell(own, step, standing.begun(own.name, step.name, turn, this_run().report))
        done = _carried_out(own, now, step)
        standing.ended(own.name)
        if isinstance(done, Problem) or not done:
            return done
        if step.look_again or step.reboot_deadline_s is not None:
            again = _after(own, node, now)
            if isinstance(again, Problem) or again is None:
                return again or False
            now = again
            steps = steps_of(now, role, action)
    _over(own, role, action)
    return True


def _carried_out(own: Host, now: PlannedNode, step: Step) -> bool | Problem:
    """Upload and run a step, or reboot; return whether it succeeded."""
    # A connection of before a reboot holds nothing any more.
    if isinstance(held := alone.hold(own), Problem):
        return held
    problem = rolling.around(own, step, lambda: _made(own, step))
    return this_run().stepped(own, step, problem)


def _made(own: Host, step: Step) -> str | None:
    """Upload and run a step, or reboot; return an error message or None."""
    if step.reboot_deadline_s is None:
        return delivery.deliver(own, step, this_run().report)
    problem = reboot.once(own, step.program, step.query, step.timeout_s, step.reboot_deadline_s)
    if problem:
        say(own, problem, "red")
    return problem


def _after(own: Host, node: PlannedNode, before: PlannedNode) -> PlannedNode | Problem | None:
    """Return the node after a step that later ones depend on; None where a role then failed."""
    now = seen_again(own, node)
    if isinstance(now, Problem) or _boot(now) == _boot(before):
        return now
    before_it, this_run().of(own).executed = this_run().of(own).executed, []
    for role in before_it:
        done = _executed(own, node, role, "steps")
        if isinstance(done, Problem) or not done:
            return done or None
    return as_it_is(own, node)


def _boot(node: PlannedNode) -> str | None:
    system = node.snapshot.system
    return None if isinstance(system, Unknown) else system.boot_id


@in_words
def tell_plan(node: PlannedNode) -> None:
    """Report the node's plan, with how it differs from the node now."""
    if node.plan is not None:
        steps = {name: steps_of(node, name) for name in node.plan.roles}
        reported = as_dict(node.plan, steps)
        refused = dict.fromkeys((*reported["refused"], *impossible(node)))
        this_run().report.write("plan", **{**reported, "refused": list(refused)})
