"""What engine proves; that the release is also the one that runs is proved by serving."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, unknown
from bramble.releases import manifest_path
from bramble.snapshot import FileState, Unknown
from roles.engine.plan import CURRENT, SERVER, EnginePlan, incomplete


@check()
def release_is_whole(plan: EnginePlan, node: Node) -> Finding:
    """The planned release is there with its manifest, and its server is the one that was built."""
    want = f"{plan.folder}, whole"
    files = node.snapshot.files
    if isinstance(files, Unknown):
        return unknown(want, files)
    for path in (manifest_path(plan.folder), CURRENT, SERVER):
        if isinstance(seen := files.get(path), Unknown):
            return unknown(want, seen)
    problem = incomplete(plan, node.snapshot)
    remedy = "Run the deploy again: it builds the release."
    return expect(want, problem or "whole", problem is None, remedy)


@check()
def release_is_current(plan: EnginePlan, node: Node) -> Finding:
    """The link to the current release points to the planned one."""
    want, seen = f"releases/{plan.release}", node.snapshot.file(CURRENT)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    got = (seen.target or seen.kind) if isinstance(seen, FileState) else "no link"
    return expect(want, got, got == want, "Run the deploy again.")
