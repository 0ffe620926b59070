"""What model proves."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown, worst
from bramble.node.roots import OURS, open_to_others
from bramble.roles.model.files import PlannedFile, unverified
from bramble.roles.model.plan import ModelPlan, placed
from bramble.snapshot import Unknown


@check()
def model_is_the_pinned_one(plan: ModelPlan, node: Node) -> Finding:
    """The model file has the pinned sha256: hashed now, or unchanged since it was verified."""
    return _pinned(plan, node)


@check()
def further_models_are_the_pinned_ones(plan: ModelPlan, node: Node) -> Finding:
    """Each model file beside the first one has its pinned sha256, in the same way."""
    if not plan.further:
        return skip(
            "further models", "none of model.also, model.draft and model.projector names one"
        )
    return worst({one.name: _pinned(one, node) for one in plan.further})


def _pinned(plan: PlannedFile, node: Node) -> Finding:
    want, seen = f"{plan.path} sha256 {plan.sha256[:12]}", node.snapshot.file(plan.path)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    if seen is not None:
        on_disk = node.read_back(plan.path)
        if isinstance(on_disk, Unknown):
            return unknown(want, on_disk)
        if on_disk is not None:
            return _as_read_back(plan, node.plan.host, want, on_disk)
    hashed = seen is not None and seen.sha256 is not None
    stamp = node.snapshot.file(plan.stamp)
    if seen is not None and not hashed and isinstance(stamp, Unknown):
        return unknown(want, stamp)
    problem = unverified(plan, node.snapshot)
    got = problem or ("hashed now" if hashed else "unchanged since it was verified")
    return expect(want, got, problem is None, "Run the deploy again: it fetches the model again.")


def _as_read_back(plan: PlannedFile, host: str, want: str, on_disk: str) -> Finding:
    """Compare what the disk has: a flipped bit leaves the stamp's size and time as they are."""
    ok = on_disk == plan.sha256
    got = "the disk has it" if ok else f"on the disk: {on_disk}"
    return expect(
        want,
        got,
        ok,
        f"The disk damaged {plan.path}, or somebody changed it: run `bramble model verify {host}`, and "
        "deploy again, which fetches it again. Then look after the disk.",
    )


@check()
def model_belongs_to_root(plan: ModelPlan, node: Node) -> Finding:
    """Root alone may change the model, what says that it was verified, and the folders of both."""
    want, found = f"{plan.path}, root's alone", open_to_others(node.snapshot, plan.trusted)
    if isinstance(found, Unknown):
        return unknown(want, found)
    got = "; ".join(f"{path} {who}" for path, who in found.items())
    remedy = (
        f"Deploy again; of what is not below {' or '.join(OURS)}: chown root and chmod go-w it."
    )
    return expect(want, got or want, not found, remedy)


@check()
def models_are_on_their_disk(plan: ModelPlan, node: Node) -> Finding:
    """The models' folder leads to the SSD where one can be used, and is on the card else."""
    want = f"{plan.folder} on the disk that is planned"
    for seen in (node.snapshot.file(plan.folder), node.snapshot.mounts):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    due = placed(plan, node.snapshot)
    got = due.why or due.note or want
    return expect(want, got, due.why is None, "Deploy again: it moves what is verified there.")
