"""What engine proves; that the release is also the one that runs is proved by serving."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, unknown
from bramble.llama.recipe import BUILD_USER
from bramble.llama.releases import link_target, manifest_path, smoke_path
from bramble.node.roots import open_to_others
from bramble.owned import as_written
from bramble.roles.engine import build_user, proof
from bramble.roles.engine.plan import EnginePlan
from bramble.roles.engine.whole import HOME, TRUSTED, incomplete, programs, trusted
from bramble.snapshot import FileState, Unknown


@check()
def release_is_whole(plan: EnginePlan, node: Node) -> Finding:
    """The planned release is there with its manifest, and each of its programs is as it was built."""
    want = f"{plan.folder}, whole"
    look, files = node.snapshot, node.snapshot.files
    if isinstance(files, Unknown):
        return unknown(want, files)
    for seen in (
        *map(files.get, (manifest_path(plan.folder), HOME.current)),
        *programs(look).values(),
    ):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    problem = incomplete(plan.folder, look)
    remedy = "Run the deploy again: it builds the release."
    return expect(want, problem or "whole", problem is None, remedy)


@check()
def release_is_current(plan: EnginePlan, node: Node) -> Finding:
    """The link to the current release points to the planned one."""
    want, seen = link_target(plan.release), node.snapshot.file(HOME.current)
    if isinstance(seen, Unknown):
        return unknown(want, seen)
    got = (seen.target or seen.kind) if isinstance(seen, FileState) else "no link"
    return expect(want, got, got == want, "Run the deploy again.")


@check()
def release_has_what_was_planned(plan: EnginePlan, node: Node) -> Finding:
    """The release showed, on this node, the instructions and kernels that its plan counts on."""
    named = [f"{part} with {', '.join(names)}" for part, names in plan.wants.items() if names]
    want = "; ".join(named) or "a smoke test that tells what it computes with"
    files = node.snapshot.files
    if isinstance(files, Unknown):
        return unknown(want, files)
    # It is seen by a pattern, which tells nothing of what is not there.
    if isinstance(seen := files.get(smoke_path(plan.folder)), Unknown):
        return unknown(want, seen)
    remedy = "Run the deploy again: it tests the release, and says what is missing."
    record = proof.reported(node.snapshot, plan.folder)
    if record is None:
        return expect(want, "no smoke test is recorded", False, remedy)
    info = record.get("system_info")
    if info is None:
        again = f"Remove {smoke_path(plan.folder)} and run the deploy again."
        return Finding(
            "unknown", want, "llama-server reported no system_info at its smoke test", again
        )
    kernels = [f"KleidiAI {name} by {feature}" for name, feature in record["kleidiai"].items()]
    got = f"{' '.join(info)}; {', '.join([*kernels, *record['buffers']])}"
    return expect(want, got, not proof.lacking(plan.wants, record), remedy)


@check()
def releases_belong_to_root(plan: EnginePlan, node: Node) -> Finding:
    """Root alone may change the current release's programs, and the folders that lead to releases."""
    want = f"{TRUSTED[-2]} and its programs, root's alone"
    found = open_to_others(node.snapshot, trusted(node.snapshot))
    if isinstance(found, Unknown):
        return unknown(want, found)
    got = "; ".join(f"{path} {who}" for path, who in found.items())
    remedy = "Deploy again: it gives them back, and installs again what others may have changed."
    return expect(want, got or want, not found, remedy)


@check()
def build_user_cannot_log_in(plan: EnginePlan, node: Node) -> Finding:
    """What compilers run as on the node is a system user of its own, without a shell or a password."""
    want, users = f"{BUILD_USER}, a system user that nobody can log in as", node.snapshot.users
    if isinstance(users, Unknown):
        return unknown(want, users)
    user = users.get(BUILD_USER)
    if user is None:
        return expect(want, f"no user {BUILD_USER}", False, "Run the deploy again.")
    if user["password"] is None:
        return unknown(want, Unknown("/etc/shadow cannot be read, or does not name it"))
    said = "a password" if user["password"] else "no password"
    got = f"uid {user['uid']} with {user['shell']} and {said}"
    ok = 0 < user["uid"] < 1000 and not build_user.may_log_in(user)
    return expect(want, got, ok, f"Deploy again; if that is not enough: sudo userdel {BUILD_USER}.")


@check()
def files_are_as_written(plan: EnginePlan, node: Node) -> Finding:
    """Each file that this role writes stands as it was written: text, mode and owner."""
    declared, _user = build_user.steps(node.snapshot)
    return as_written(plan, (declared,), node.snapshot)
