"""What base proves."""

from __future__ import annotations

from bramble.board import refusals
from bramble.checks import Finding, Node, check, expect, unknown
from bramble.plan import RolePlan
from bramble.snapshot import Unknown


@check()
def system_is_supported(plan: RolePlan, node: Node) -> Finding:
    """The node runs a 64-bit Bookworm that keeps its changes."""
    found = refusals(node.snapshot)
    want = "64-bit userland, Bookworm, no overlay in memory as root"
    if isinstance(node.snapshot.system, Unknown):
        return unknown(want, node.snapshot.system)
    return expect(want, "; ".join(found) or "as wanted", not found, "Flash the card anew.")


@check()
def packages_are_installed(plan: RolePlan, node: Node) -> Finding:
    """The Debian packages of all roles are installed."""
    want, packages = " ".join(node.plan.packages), node.snapshot.packages
    if isinstance(packages, Unknown):
        return unknown(want, packages)
    missing = [name for name in node.plan.packages if not packages.get(name)]
    got = f"missing: {' '.join(missing)}" if missing else "all installed"
    return expect(want, got, not missing, "Run the deploy again.")
