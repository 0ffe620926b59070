"""Paths on this computer: of what comes with bramble, and of the project that a command is for."""

from __future__ import annotations

import os
from pathlib import Path

SHIPPED = Path(__file__).parent / "shipped"
"""inventory.py, deploys, example inventory, demo model and docs, in a checkout as links."""

VARIABLE = "BRAMBLE_INVENTORY"
FLEET = "fleet.yml"
INVENTORY = "inventory"
ENTRY = "inventory.py"
"""What pyinfra reads, and what makes the folder around an inventory a project."""


def folder() -> Path:
    """Find the inventory: where BRAMBLE_INVENTORY says, else the nearest from here upward."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser().absolute() if named else nearest(Path.cwd())


def nearest(start: Path) -> Path:
    """Return the first folder upward with a fleet, its own or in inventory/; else the one to make."""
    for place in (start, *start.parents):
        for found in (place, place / INVENTORY):
            if (found / FLEET).is_file():
                return found
    return start / INVENTORY


def root(inventory: Path) -> Path:
    """Return the folder of an inventory's project; an inventory without one is its own."""
    around = inventory.parent
    return around if (around / ENTRY).is_file() else inventory


def reports() -> Path:
    """Return the folder of reports, wherever in the project a command is run."""
    return root(folder()) / "reports"


def part(place: Path, name: str) -> Path:
    """Return a project's own file of this name, or the one that comes with bramble."""
    own = place / name
    return own if own.is_file() else SHIPPED / name
