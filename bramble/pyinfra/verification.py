"""Check a node at the end of a deploy, as it is then."""

from __future__ import annotations

from pyinfra.api import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.context import ctx_host, state

from bramble import figures, registry
from bramble.checks import Result, run_all
from bramble.llama.releases import linked
from bramble.outputs import EngineOutputs
from bramble.pyinfra import connection
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.run import PlannedNode, as_it_is, seen_again, unknown_roles
from bramble.pyinfra.session import Work, in_words, nothing_done, on_host, refuse, this_run
from bramble.pyinfra.telling import say


@in_words
def verify(node: PlannedNode, *roles: str) -> OperationMeta:
    """Check the node as it is now, all of it or these roles alone; return the operation's meta.

    `--data deep=yes` reads big files back from their disks. Where nobody is asked before anything is
    changed (`-y`) and nothing was planned for the host, the node is as the look saw it: it is checked
    now, without an operation, for each of which pyinfra inspects the whole call stack.
    """
    if node.plan is None:
        return nothing_done()
    if misspelt := unknown_roles(*roles):
        return refuse(name="Check the node", problem=misspelt)
    names = roles or tuple(role.name for role in registry.roles())
    own = ctx_host.get()
    if state.check_for_changes or own.op_hash_order:
        return run_checks(name="Check the node", node=node, roles=names)
    if problem := problem_of(own, node, names):
        return refuse(name="Check the node", problem=problem)
    return nothing_done()


@on_host
def run_checks(node: PlannedNode, roles: tuple[str, ...]) -> str | Work:
    """Run the roles' checks: no change when all pass, a failed host when one fails."""
    if not state.is_executing:
        return "the checks run at the end"
    own = ctx_host.get()
    # A host on which nothing was changed is still as the first look saw it.
    now = seen_again(own, node) if this_run().is_stale(own) else as_it_is(own, node)
    if isinstance(now, Problem):
        return lambda _host: now
    problem = problem_of(own, now, roles)
    return (lambda _host: problem) if problem else "every check passes"


def problem_of(own: Host, node: PlannedNode, roles: tuple[str, ...]) -> Problem | None:
    """Run the roles' checks; return what fails or could not be determined, None when all pass."""
    bad = [result for result in _results(own, node, roles) if result.status in ("fail", "unknown")]
    return Problem("\n".join(_sentence(result) for result in bad)) if bad else None


def _results(own: Host, node: PlannedNode, roles: tuple[str, ...]) -> tuple[Result, ...]:
    """Run the roles' checks on the node, and report them."""
    assert node.plan is not None
    checks = tuple(c for role in registry.roles() if role.name in roles for c in role.checks)
    deep = bool(own.data.get("deep"))
    live = connection.Live(own, node.plan, node.snapshot, deep=deep)
    results = run_all(live, checks)
    this_run().report.write_all("result", [result.as_dict() for result in results])
    told = figures.of_node(node.plan, node.snapshot, live.answer)
    this_run().report.write("figures", host=own.name, **vars(told))
    if engine := node.plan.outputs.find(EngineOutputs):
        release = linked(node.snapshot, engine.home.current)
        this_run().report.write("serves", host=own.name, release=release)
    passed, skipped = (
        sum(result.status == status for result in results) for status in ("pass", "skip")
    )
    say(
        own, f"{passed} of {len(results)} checks pass" + (f", {skipped} skipped" if skipped else "")
    )
    for result in results:
        if result.status == "warn":
            say(own, _sentence(result), "yellow")
    return results


def _sentence(result: Result) -> str:
    return (
        f"{result.role}.{result.check}: {result.status}: wanted {result.want}, "
        f"got {result.got}. {result.remedy}"
    )
