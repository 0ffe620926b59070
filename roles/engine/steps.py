"""What engine does: install a release, make it the current one, and clear up after itself."""

from __future__ import annotations

from dataclasses import replace

from bramble.llama.recipe import (
    BUILD_USER,
)
from bramble.llama.releases import (
    link_target,
    linked,
    note,
    superfluous,
    there,
)
from bramble.node.roots import give_back
from bramble.plan import NodePlan
from bramble.roles.engine import build_user, proof
from bramble.roles.engine.place import place
from bramble.roles.engine.plan import EnginePlan
from bramble.roles.engine.whole import HOME, built_elsewhere, incomplete, trusted
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.steps import Step, Stored, install_packages, remove_files


def steps(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Install the release where it is missing, make it current if it computes here, remove old ones."""
    given = give_back("Give the releases to root", snapshot, trusted(snapshot), plan.notes)
    return (
        given,
        *build_user.steps(snapshot),
        _install(plan, node, snapshot),
        _switch(plan, snapshot),
        _clear_up(plan, snapshot),
    )


def candidate(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Install the release beside the current one, for a race."""
    packages = install_packages("Install what the release needs", plan.packages, snapshot)
    return (packages, *build_user.steps(snapshot), _install(plan, node, snapshot))


def revert(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Make no release the current one; those that were built stay, as they took long to build.

    The user that builds stays too, as its number must not become another's.
    """
    notes = (HOME.previous, HOME.good, *_rejections(snapshot))
    return (
        remove_files("Make no release current", (HOME.current,), snapshot),
        remove_files("Forget which releases were good", notes, snapshot),
        remove_files(
            "Remove the file of the user that builds", (build_user.SYSUSERS_FILE,), snapshot
        ),
    )


def again(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> tuple[Step, ...]:
    """Forget that this node rejected the planned release, so that later steps retry it."""
    mark = HOME.rejection(plan.release)
    marks = [path for path in _rejections(snapshot) if path == mark]
    step = remove_files("Forget that the release was rejected", marks, snapshot)
    return (replace(step, look_again=True),)


def _rejections(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the notes of releases that were rejected on this node."""
    files = {} if isinstance(snapshot.files, Unknown) else snapshot.files
    return tuple(path for path in files if path.startswith(f"{HOME.rejected}/"))


def _install(plan: EnginePlan, node: NodePlan, snapshot: Snapshot) -> Step:
    """Take the release from this computer's store; have one node build it where the store has none."""
    name = "Install llama.cpp"
    if plan.refusal:
        return Step(name, plan.refusal, "refuse", {"why": plan.refusal})
    if refused := _rejected(plan, node.host, snapshot):
        return Step(name, refused, "refuse", {"why": refused})
    stored = Stored(
        key=plan.release,
        program="install_release",
        query={"home": HOME.path, "release": plan.folder},
        remote=f"/var/tmp/bramble-release-{plan.release}",
        otherwise=_not_stored(plan, node.host),
        mirror=plan.mirror,
    )
    why = incomplete(plan.folder, snapshot)
    if why is None:
        return Step(name, None, stored=stored)
    return Step(
        name,
        why + built_elsewhere(plan.codename, snapshot),
        "build_engine",
        plan.build() | place(plan.ssd, HOME.path, snapshot) | {"user": BUILD_USER},
        detached=True,
        timeout_s=6 * 3600,
        uploads=plan.uploads,
        stored=stored,
    )


def _rejected(plan: EnginePlan, host: str, snapshot: Snapshot) -> str | None:
    """Return why the release is not retried automatically; None when it may be."""
    reported = note(snapshot, HOME.rejection(plan.release))
    if not reported:
        return None
    return (
        f"release {plan.release} was rejected here on {reported.get('at')}: {reported.get('why')}; "
        f"mend that and run `bramble upgrade --again {host}`"
    )


def _not_stored(plan: EnginePlan, host: str) -> str | None:
    """Return why a release that the store lacks cannot be installed; None: it can be built."""
    if plan.pinned:
        return (
            f"{host} is pinned to release {plan.release}, which is neither there nor in this "
            f"computer's store: run `bramble upgrade {host}`, which drops the pin"
        )
    if plan.recipe != "cross":
        return None
    return (
        f"engine.recipe is cross, and this computer's store has no release {plan.release} for "
        f"{plan.soc} and {plan.codename}: run `bramble engine build --soc {plan.soc} --codename "
        f"{plan.codename}`, or set engine.recipe to native"
    )


def _switch(plan: EnginePlan, snapshot: Snapshot) -> Step:
    name, target = "Make the release current", link_target(plan.release)
    seen = snapshot.file(HOME.current)
    if isinstance(seen, FileState) and seen.target == target:
        again = "it is installed again" if incomplete(plan.folder, snapshot) else None
        why = again or proof.unproven(plan.wants, snapshot, plan.folder)
        if why is None:
            return Step(name, None)
    else:
        why = f"{seen.target if isinstance(seen, FileState) else 'nothing'} -> {target}"
    query = {"path": HOME.current, "target": target, "wants": plan.wants, "user": BUILD_USER}
    return Step(name, why, "switch_engine", query, timeout_s=600)


def _clear_up(plan: EnginePlan, snapshot: Snapshot) -> Step:
    """Remove releases beyond those to keep; the node itself looks once more what is in use."""
    good = str(note(snapshot, HOME.good).get("release", ""))
    needed = (plan.release, linked(snapshot, HOME.current), linked(snapshot, HOME.previous), good)
    gone = superfluous(there(snapshot, HOME.path), needed, plan.keep_releases)
    if not gone:
        return Step("Remove old releases", None)
    query = {"home": HOME.path, "releases": list(gone)}
    return Step("Remove old releases", ", ".join(gone), "prune_releases", query)
