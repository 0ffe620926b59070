"""What deploys are made of: begin at a node, bring a role there, check the whole at the end."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import FrameType
from typing import Literal

import click
from pyinfra.api import FunctionCommand, Host, State, operation
from pyinfra.context import ctx_host, ctx_state, host, state

from bramble import catalogue, report
from bramble.board import Board, board, refusals
from bramble.checks import Result, checks_of, run_all
from bramble.fit.ahead import with_dimensions
from bramble.inventory import from_data
from bramble.ops import connection, delivery, model_header, peers, reboot, releases
from bramble.plan import NodePlan, look_at, make
from bramble.settings import Section
from bramble.snapshot import Snapshot, Unknown
from bramble.steps import Step, as_dict

Commands = Generator[FunctionCommand, None, None]
Way = Literal["steps", "revert", "prune", "again", "candidate"]
Amend = Callable[[dict[str, Section], Snapshot], dict[str, Section] | str]
"""What makes other settings of a host's by what was seen of it, or says why there are none."""


@dataclass(frozen=True)
class Node:
    """One host of this run: what it should be, what it was seen to be, and why it is refused."""

    plan: NodePlan | None
    snapshot: Snapshot
    query: dict[str, object]
    refused: tuple[str, ...] = ()


class Run:
    """The report of this process' run, which hosts it changed, and how those looked that it saw anew."""

    def __init__(self) -> None:
        self.report = report.Report(report.path())
        self.changed: set[str] = set()
        self.seen_anew: dict[str, Snapshot] = {}
        self.report.write(
            "run", hosts=[h.name for h in state.inventory if state.is_host_in_limit(h)]
        )

    def stepped(self, host: str, step: Step, problem: str | None) -> bool:
        """Tell of a step that was carried out; whether it went well."""
        self.report.write(
            "step",
            host=host,
            step=step.name,
            why=step.why,
            state="failed" if problem else "done",
            problem=problem,
        )
        return problem is None

    def end(self) -> None:
        """Name the hosts that changed and those that failed, the unreachable ones among them."""
        failed = {failed_host.name for failed_host in state.failed_hosts}
        for name in sorted(failed - {activated.name for activated in state.activated_hosts}):
            self.report.write("host", host=name, state="unreachable", why="it could not be reached")
        self.report.write("end", changed=sorted(self.changed), failed=sorted(failed))


_runs: list[Run] = []


def this_run() -> Run:
    """The run of this process, begun at its first use."""
    if not _runs:
        _runs.append(Run())
    return _runs[0]


def watch() -> None:
    """End the report when this process ends, whatever came of it.

    inventory.py calls this, because a deploy is never loaded when its only host cannot be reached:
    then the run begins and ends here.
    """
    # What ends a connection is told in our own words; paramiko would print its traceback too.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    # pyinfra would wait for what is under way, for hours maybe, and end with 0 as if all were done.
    signal.signal(signal.SIGINT, _stopped)
    atexit.register(_end)


def _stopped(_number: int, _frame: FrameType | None) -> None:
    """End at once, where a person or a CI server says so; what nodes have under way is theirs."""
    try:
        _end()
        click.echo(
            "Stopped. What the nodes have under way goes on there; the same run takes it up."
        )
        sys.stdout.flush()
    finally:  # who listened may have gone before
        os._exit(report.STOPPED)


def _end() -> None:
    connected = ctx_state.isset() and state.initialised
    if _runs or (connected and state.failed_hosts):
        this_run().end()


def begin(amend: Amend | None = None) -> Node:
    """Look at the host once and decide what it should be; a refused host is told so and left alone."""
    run = this_run()
    connection.bound(host)
    settings = from_data(host.name, host.data.bramble, catalogue.sections())
    roles = catalogue.roles_of(settings)
    query = look_at(settings, roles)
    snapshot = connection.look(host, query)
    found = board(snapshot)
    reasons = refusals(snapshot)
    if isinstance(found, Unknown):
        reasons = reasons or (f"The node did not say what it is: {found.why}.",)
    if amend and not reasons:
        amended = amend(settings, snapshot)
        if isinstance(amended, str):
            reasons = (amended,)
        else:
            settings = amended
    if not reasons:
        settings = with_dimensions(settings, snapshot, host.log, model_header.by_node(host))
    run.report.write(
        "host", host=host.name, state="refused" if reasons else "connected", why=" ".join(reasons)
    )
    if reasons or not isinstance(found, Board):
        refuse(name="Refuse the host", reasons=reasons)
        return Node(None, snapshot, query, reasons)
    return Node(make(host.name, settings, found, roles), snapshot, query)


@operation()
def refuse(reasons: tuple[str, ...]) -> Commands:
    """Fail this host, and no other, with the reasons."""
    yield FunctionCommand(_fail, (reasons,), {})


def _fail(state: State, host: Host, reasons: tuple[str, ...]) -> bool:
    """False is what fails this host alone: pyinfra prints a traceback for an exception."""
    for reason in reasons:
        host.log(click.style(reason, "red"))
    this_run().report.write("host", host=host.name, state="failed", why=" ".join(reasons))
    return False


def accept(node: Node) -> None:
    """Tell what is hardly meant, and refuse a plan that cannot work, before anything is changed."""
    if node.plan is None:
        return
    for warning in node.plan.warnings:
        host.log(click.style(warning, "yellow"))
    if node.plan.refusals:
        refuse(name="Refuse the plan", reasons=node.plan.refusals)


def bring(node: Node, role: str, way: Way = "steps") -> None:
    """Carry out a role's steps; those with nothing to do cost no remote command."""
    if node.plan is None or role not in node.plan.roles:
        return
    for number, step in enumerate(host.loop(_steps(node.plan, role, node.snapshot, way))):
        # `host` is whichever host is being worked for; what is remembered must be this one.
        releases.expect(ctx_host.get(), step)
        peers.expect(ctx_host.get(), step)
        carry_out(name=f"{role}: {step.name}", node=node, role=role, number=number, way=way)


def _steps(plan: NodePlan, role: str, snapshot: Snapshot, way: Way = "steps") -> tuple[Step, ...]:
    """A role's steps by what a look saw, in one of the ways that its plan has functions for."""
    found = next(entry for entry in catalogue.roles() if entry.name == role)
    steps: tuple[Step, ...] = getattr(found.plan, way)(plan.roles[role], plan, snapshot)
    return steps


@operation()
def carry_out(node: Node, role: str, number: int, way: Way) -> Commands:
    """One step: nothing when the look agrees, else its uploads and its program.

    Whatever ran before a reboot runs no longer, and a file in memory is gone: a step after one, or
    after one that says that later ones depend on it, goes by the look that was taken then.
    """
    assert node.plan is not None
    snapshot = this_run().seen_anew.get(host.name, node.snapshot)
    step = _steps(node.plan, role, snapshot, way)[number]
    if step.why is None:
        host.noop(f"{step.name}: as planned")
        return
    if state.config.DIFF:
        for diff in step.diffs:
            click.echo(diff, err=True, nl=False)
    yield FunctionCommand(_carry_out, (step, node.query), {})


def _carry_out(state: State, host: Host, step: Step, query: dict[str, object]) -> bool:
    """Upload and run; whatever goes wrong fails this host alone and is said in words."""
    host.log(f"{step.name}: {step.why}")
    if step.reboot_deadline_s is None:
        problem = delivery.deliver(host, step, this_run().report)
        if problem is None and step.look_again:
            problem = _look_again(host, query)
    else:
        problem = _reboot(host, step, query)
    this_run().changed.add(host.name)
    return this_run().stepped(host.name, step, problem)


def _reboot(host: Host, step: Step, query: dict[str, object]) -> str | None:
    """Have the node reboot if it needs to, and look at it again; the problem in words if it failed."""
    assert step.reboot_deadline_s is not None
    problem = reboot.once(host, step.program, step.query, step.timeout_s, step.reboot_deadline_s)
    if problem:
        host.log(click.style(problem, "red"))
        return problem
    return _look_again(host, query)


def _look_again(host: Host, query: dict[str, object]) -> str | None:
    """Have the next steps go by what the node shows now; the problem in words if it shows nothing."""
    seen = connection.look(host, query)
    if isinstance(seen.system, Unknown):
        return seen.system.why
    this_run().seen_anew[host.name] = seen
    return None


def tell_plan(node: Node) -> None:
    """Put the node's plan, with what differs from it now, into the report."""
    if node.plan is not None:
        steps = {name: _steps(node.plan, name, node.snapshot) for name in node.plan.roles}
        this_run().report.write("plan", **as_dict(node.plan, steps))


def take_back(node: Node) -> None:
    """Take back what the role of `--data role=ROLE` set, after the roles that stand on it."""
    if node.plan is None:
        return
    role = host.data.get("role")
    if role not in node.plan.roles:
        known = ", ".join(node.plan.roles)
        refuse(name="Refuse the role", reasons=(f"no role {role!r} here; known: {known}",))
        return
    roles = tuple(name for name in (*catalogue.dependents(role), role) if name in node.plan.roles)
    for name in roles:
        bring(node, name, "revert")
    nothing_left(name="See that it is taken back", node=node, roles=roles)


@operation()
def nothing_left(node: Node, roles: tuple[str, ...]) -> Commands:
    """Look again where something was changed: no change when nothing is left to take back."""
    if not state.is_executing or host.name not in this_run().changed:
        host.noop("nothing was changed")
        return
    assert node.plan is not None
    seen = connection.look(host, node.query)
    left = tuple(
        f"{name}: {step.name}: {step.why}"
        for name in roles
        for step in _steps(node.plan, name, seen, "revert")
        if step.why is not None
    )
    if not left:
        host.noop("all of it is taken back")
        return
    yield FunctionCommand(_fail, (left,), {})


def finish(node: Node, *roles: str) -> None:
    """Check the node as it is now, over the open connection: all of it, or these roles alone.

    `--data deep=yes` reads big files back from their disks.
    """
    if node.plan is not None:
        names = roles or tuple(role.name for role in catalogue.roles())
        verify(name="Check the node", node=node, roles=names)


@operation()
def verify(node: Node, roles: tuple[str, ...]) -> Commands:
    """Run the roles' checks: no change when all pass, a failed host when one fails."""
    if not state.is_executing:
        host.noop("the checks run at the end")
        return
    results = _results(node, roles)
    failed = [result for result in results if result.status in ("fail", "unknown")]
    if not failed:
        host.noop("every check passes")
        return
    yield FunctionCommand(_fail, (tuple(_sentence(result) for result in failed),), {})


def _results(node: Node, roles: tuple[str, ...]) -> tuple[Result, ...]:
    """The roles' checks on the node as it is now, all of it in the report."""
    assert node.plan is not None
    run = this_run()
    # What nothing was changed on still is what the look at the beginning saw.
    changed = host.name in run.changed
    snapshot = connection.look(host, node.query) if changed else node.snapshot
    checks = tuple(
        c
        for role in catalogue.roles()
        if role.name in roles
        for c in checks_of(role.name, role.checks)
    )
    deep = bool(host.data.get("deep"))
    results = run_all(connection.Live(host, node.plan, snapshot, deep=deep), checks)
    for result in results:
        run.report.write("result", **result.as_dict())
    passed, skipped = (
        sum(result.status == status for result in results) for status in ("pass", "skip")
    )
    host.log(
        f"{passed} of {len(results)} checks pass" + (f", {skipped} skipped" if skipped else "")
    )
    for result in results:
        if result.status == "warn":
            host.log(click.style(_sentence(result), "yellow"))
    return results


def _sentence(result: Result) -> str:
    return (
        f"{result.role}.{result.check}: {result.status}: wanted {result.want}, "
        f"got {result.got}. {result.remedy}"
    )
