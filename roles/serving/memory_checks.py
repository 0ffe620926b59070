"""What serving proves of the memory that the server keeps."""

from __future__ import annotations

from bramble.checks import Finding, Node, check, expect, unknown
from bramble.roles.serving.wanted import UNIT, ServingPlan
from bramble.snapshot import Unknown


@check()
def memory_is_locked_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """The kernel keeps the weights in memory where they are to be locked, and nothing else."""
    wanted_kib = _wanted_kib(plan)
    if isinstance(wanted_kib, Unknown):
        return unknown("the weights locked", wanted_kib)
    want = f"at least {wanted_kib} KiB locked" if plan.locked else "nothing locked"
    process = node.snapshot.process(UNIT)
    if isinstance(process, Unknown):
        return unknown(want, process)
    if process is None:
        return expect(want, "no process", False, "Run the deploy again.")
    said = process.status.get("VmLck", "").removesuffix(" kB")
    if not said.isdecimal():
        return unknown(want, Unknown("the kernel does not tell how much is locked (VmLck)"))
    ok = int(said) >= wanted_kib if plan.locked else int(said) == 0
    remedy = f"sudo journalctl -u {UNIT} has llama-server's warning of mlock; deploy again."
    return expect(want, f"{said} KiB locked", ok, remedy)


def _wanted_kib(plan: ServingPlan) -> int | Unknown:
    if plan.locked is None:
        return 0
    if plan.locked.size_bytes is None:
        return Unknown("the size of the weights is not known")
    return plan.locked.size_bytes >> 10
