"""The first lines of a run: which inventory it uses, for which hosts, and what is pinned there."""

from __future__ import annotations

from collections.abc import Sequence

from bramble.inventory.load import Host, Inventory
from bramble.prepared import prepared_sections

MOST = 12


def headline(inventory: Inventory, names: Sequence[str]) -> str:
    """Name the inventory's folder and these hosts, and after that each pin on a line of its own."""
    named = ", ".join(names[:MOST]) + (", ..." if len(names) > MOST else "")
    count = f" ({len(names)} of {len(inventory.hosts)} hosts)" if len(inventory.hosts) > 1 else ""
    first = f"Inventory {inventory.folder}: {named}{count}"
    pinned = [line for name in names for line in sentences(inventory.hosts[name])]
    return "\n".join([first, *pinned])


def sentences(host: Host) -> tuple[str, ...]:
    """Return a sentence for each pin that overrides the inventory for a host."""
    pins = (
        part.pins(host.name, host.prepared) for part in prepared_sections(host.settings).values()
    )
    return tuple(pinned.sentence for several in pins for pinned in several)
