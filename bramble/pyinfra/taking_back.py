"""Revert a role, after the roles that depend on it, and verify that it is reverted."""

from __future__ import annotations

from pyinfra.context import ctx_host, host, state

from bramble import registry
from bramble.documents.problems import unknown
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.run import PlannedNode, execute, seen_again, steps_of
from bramble.pyinfra.session import Work, in_words, on_host, refuse, this_run


@in_words
def take_back(node: PlannedNode) -> None:
    """Revert the role of `--data role=ROLE`, after the roles that depend on it."""
    if node.plan is None:
        return
    role = host.data.get("role")
    if role not in node.plan.roles:
        said = f"no role '{role}' here" if role else "no role is named (`--data role=ROLE`)"
        advice = unknown(str(role or ""), node.plan.roles)
        refuse(name="Refuse the role", problem=Problem(f"{said}; {advice}"))
        return
    roles = tuple(name for name in (*registry.dependents(role), role) if name in node.plan.roles)
    for name in roles:
        execute(node, name, "revert")
    nothing_left(name="See that it is taken back", node=node, roles=roles)


@on_host
def nothing_left(node: PlannedNode, roles: tuple[str, ...]) -> str | Work:
    """Look again where something was changed: no change when nothing is left to revert."""
    own = ctx_host.get()
    if not state.is_executing or not this_run().is_stale(own):
        return "nothing was changed"
    now = seen_again(own, node)
    if isinstance(now, Problem):
        return lambda _host: now
    left = [
        f"{name}: {step.name}: {step.why}"
        for name in roles
        for step in steps_of(now, name, "revert")
        if step.why is not None
    ]
    return (lambda _host: Problem("\n".join(left))) if left else "all of it is taken back"
