"""What model proves."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, unknown
from bramble.snapshot import Unknown
from roles.model.plan import ModelPlan, unverified


@check()
def model_is_the_pinned_one(plan: ModelPlan, node: Node) -> Finding:
    """The model file has the pinned sha256: hashed now, or unchanged since it was verified."""
    want, seen = f"{plan.path} sha256 {plan.sha256[:12]}", node.snapshot.file(plan.path)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    hashed = seen is not None and seen.sha256 is not None
    stamp = node.snapshot.file(plan.stamp)
    if seen is not None and not hashed and isinstance(stamp, Unknown):
        return unknown(want, stamp)
    problem = unverified(plan, node.snapshot)
    got = problem or ("hashed now" if hashed else "unchanged since it was verified")
    return expect(want, got, problem is None, "Run the deploy again: it fetches the model anew.")
