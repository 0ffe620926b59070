"""What firewall proves: the table that the kernel has, and that the next boot loads it."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.owned import as_written
from bramble.roles.firewall.plan import TRIAL, UNIT, FirewallPlan, locks_out, not_in_force, table
from bramble.snapshot import Unknown
from bramble.steps import write_files

DEPLOY = "Run the deploy again."


@check()
def table_is_in_force(plan: FirewallPlan, node: Node) -> Finding:
    """The kernel has bramble's table as a new connection confirmed it, or none where none is planned."""
    want = "the confirmed table" if plan.there else "no table of bramble's"
    found, trial = table(node.snapshot), node.snapshot.file(TRIAL)
    for seen in (found, trial):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    if trial is not None:
        return expect(want, "one that is still on trial", False, DEPLOY)
    if not plan.there:
        return expect(want, want if found is None else "a table", found is None, DEPLOY)
    unit = node.snapshot.unit(UNIT)
    if isinstance(unit, Unknown):
        return unknown(want, unit)
    problem = not_in_force(node.snapshot)
    return expect(want, problem or want, problem is None, DEPLOY)


@check()
def files_are_as_written(plan: FirewallPlan, node: Node) -> Finding:
    """Each file that this role writes stands as it was written: text, mode and owner."""
    if not plan.there:
        return skip("the files of a firewall", "there is to be no table of bramble's")
    return as_written(plan, [write_files("Files", plan.files, node.snapshot)], node.snapshot)


@check()
def ssh_is_let_in(plan: FirewallPlan, node: Node) -> Finding:
    """The ports that sshd listens on are let through."""
    if not plan.denies:
        return skip(
            "SSH let through", "firewall.mode drops nothing but what serving and gateway expose"
        )
    want = f"sshd on {', '.join(map(str, plan.ssh_ports))}"
    for seen in (node.snapshot.sockets, node.snapshot.programs):
        if isinstance(seen, Unknown):
            return unknown(want, seen)
    problem = locks_out(plan, node.snapshot)
    return expect(want, problem or want, problem is None, "Name the port in firewall.ssh_ports.")
