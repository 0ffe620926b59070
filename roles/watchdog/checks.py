"""What watchdog proves: that systemd has the times, and, apart from it, that the device has them.

systemd takes its setting without a word where there is no device, so the first proves nothing of
the second.
"""

from __future__ import annotations

from bramble.board import OTHER
from bramble.checks import Finding, Node, check, expect, skip, unknown
from bramble.node import container
from bramble.owned import as_written
from bramble.roles.watchdog.plan import (
    DEVICE,
    WatchdogPlan,
    as_planned,
    device,
    manager_times,
    not_in_force,
    steps,
)
from bramble.snapshot import Unknown

# What the kernel's module softdog calls itself.
SOFTWARE = "Software Watchdog"


@check()
def times_are_in_force(plan: WatchdogPlan, node: Node) -> Finding:
    """systemd has the planned times, whatever other configuration says."""
    want = f"RuntimeWatchdogSec={plan.runtime_s}, RebootWatchdogSec={plan.reboot_s}"
    times = manager_times(node.snapshot)
    if isinstance(times, Unknown):
        return unknown(want, times)
    problem = not_in_force(plan, node.snapshot)
    remedy = (
        "Deploy again; if it stays, `systemd-analyze cat-config systemd/system.conf` and the kernel's "
        "command line (systemd.watchdog_sec=) say what wins."
    )
    return expect(want, problem or "as planned", problem is None, remedy)


@check()
def device_is_armed(plan: WatchdogPlan, node: Node) -> Finding:
    """The watchdog device itself is armed with the planned time, and on a Pi it is the board's."""
    want = f"active with {plan.runtime_s} s" if plan.runtime_s else "inactive"
    kind, found = container.container(node.snapshot), device(node.snapshot)
    if isinstance(found, Unknown):
        return unknown(want, found)
    if kind:
        return skip(want, f"a container ({kind}) has no watchdog of its own")
    if found is None and node.plan.board.kind == OTHER:
        return skip(want, f"there is no {DEVICE}")
    if found is None:
        remedy = "Every Pi has one: look for bcm2835-wdt in `dmesg`, and update the kernel."
        return expect(want, f"there is no {DEVICE}", False, remedy)
    got = (
        f"{found.state} with {found.timeout_s} s ({found.identity or 'it does not say what it is'})"
    )
    if plan.runtime_s and not found.identity:
        return unknown(want, Unknown(got))
    if found.identity.startswith(SOFTWARE) and node.plan.board.kind != OTHER:
        remedy = (
            "It stops with the kernel that it watches: unload softdog, and the board's is used."
        )
        return expect(want, got, not plan.runtime_s, remedy)
    remedy = (
        "See `journalctl -b _PID=1 -g watchdog`. Kernels of before 2024 take 15 s at most: update the "
        "kernel, or set watchdog.runtime_s to 15 or less."
    )
    return expect(want, got, as_planned(plan, found), remedy)


@check()
def files_are_as_written(plan: WatchdogPlan, node: Node) -> Finding:
    """Each file and line that this role writes stands as it was written: text, mode and owner."""
    return as_written(plan, steps(plan, node.plan, node.snapshot), node.snapshot)
