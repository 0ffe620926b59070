"""Whether zram is as planned, by the memory of the boot that runs."""

from __future__ import annotations

from bramble.roles.memory import seen
from bramble.roles.memory.wanted import ZRAM, MemoryPlan
from bramble.snapshot import Snapshot, Unknown


def wrong(plan: MemoryPlan, snapshot: Snapshot) -> str | None:
    """Return why zram is not as planned; None when it is."""
    swap, devices = seen.swap_at(snapshot, ZRAM), seen.zrams(snapshot)
    for part in (swap, devices):
        if isinstance(part, Unknown):
            return part.why
    if swap is None or isinstance(swap, Unknown) or isinstance(devices, Unknown):
        return f"{ZRAM} is no swap"
    wanted = wanted_kib(plan, snapshot)
    if isinstance(wanted, Unknown):
        return wanted.why
    if not is_right_size(plan, wanted, swap.size_kib):
        return f"{ZRAM} has {round(swap.size_kib / 1024)} MiB, not {wanted // 1024}"
    if swap.priority != plan.priority:
        return f"{ZRAM} has priority {swap.priority}, not {plan.priority}"
    device = devices.get("zram0")
    if device is None or device.algorithm != plan.algorithm:
        return f"{ZRAM} compresses by {device.algorithm if device else 'nothing'}"
    if plan.rpi_swap == "leave" or not device.backing:
        return None
    return f"{ZRAM} writes back to {device.backing}"


def wanted_kib(plan: MemoryPlan, snapshot: Snapshot) -> int | Unknown:
    """Return the planned size of zram by the memory of this boot."""
    memory = snapshot.memory_kib
    if isinstance(memory, Unknown):
        return memory
    if "MemTotal" not in memory:
        return Unknown("/proc/meminfo tells no MemTotal")
    return memory["MemTotal"] * plan.zram_percent // 100


def is_right_size(plan: MemoryPlan, wanted_kib: int, size_kib: int) -> bool:
    """Tell whether a swap on zram has its planned size.

    The generator rounds and one page is the header. The kernel's MemTotal still moves by some MiB after
    the generator has read it: that is allowed, and less than half of what one percent more would give.
    """
    moved_kib = min(8 * 1024, wanted_kib / plan.zram_percent / 2)
    return abs(size_kib - wanted_kib) <= max(1024, moved_kib)
