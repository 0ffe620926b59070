"""What of swap is there that this role does not plan: other owners, and swap that a person set up."""

from __future__ import annotations

from collections.abc import Iterator

from bramble.plan import Stranger
from bramble.roles.memory import plan as steps
from bramble.roles.memory import rpi_swap, seen
from bramble.roles.memory.wanted import ZRAM, MemoryPlan
from bramble.snapshot import Snapshot, Unknown

KIND = "swap-owner"
AWAY = "Take it away there (`sudo systemctl disable --now ...`), and reboot; or waive it."
KEEP = "Take it out of there, or waive it where it is meant."


def beside(plan: MemoryPlan, snapshot: Snapshot) -> tuple[Stranger, ...]:
    """Return what else makes swap, now or at the next boot; in a container that is its host's."""
    return () if steps.in_container(snapshot) else tuple(_beside(plan, snapshot))


def _beside(plan: MemoryPlan, snapshot: Snapshot) -> Iterator[Stranger]:
    others = seen.others(snapshot, steps.units_of(plan))
    for maker in () if isinstance(others, Unknown) else others:
        got = f"{maker.name} makes zram or swap: {maker.line}"
        yield Stranger(KIND, maker.name, got, AWAY, maker.path)
    makers = () if isinstance(snapshot.swap_makers, Unknown) else snapshot.swap_makers
    by_device = {maker.line.removeprefix("What="): maker for maker in makers}
    for swap in () if isinstance(snapshot.swaps, Unknown) else snapshot.swaps:
        of = by_device.get(swap.path)
        left = of is not None and plan.rpi_swap == "leave" and rpi_swap.makes(of)
        if swap.path not in (ZRAM, plan.path) and not left:
            path = of.path if of else None
            got = f"{swap.path} is swap in use, by {path or 'nothing that a boot starts'}"
            yield Stranger(KIND, swap.path, got, KEEP, path)
