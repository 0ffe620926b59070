"""rpi-swap, Raspberry Pi OS's own swap from Trixie on: what it is told to make, and what it makes.

Its generator reads `swap.conf` at each boot and at each reload of systemd, and gives zram-generator, on
which it depends, a configuration that ours is read after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bramble.plan import File
from bramble.render import render
from bramble.snapshot import Snapshot, Unknown
from bramble.system import parse

PACKAGE = "rpi-swap"
CONF = "/etc/rpi/swap.conf.d/99-bramble-memory.conf"
# Its generator names this file as the source of each swap that it makes.
SOURCE = "/etc/rpi/swap.conf"
UNITS = ("rpi-resize-swap-file.service", "rpi-zram-writeback.service")
"""The services with which it makes swap, or writes zram back."""
PRIORITY = 100
"""The priority of its swap, which cannot be set."""
MADE_AT_BOOT = "/run/systemd/zram-generator.conf.d/20-rpi-swap-zram0-ctrl.conf"
"""What it had zram-generator make at this boot, which stays until the next one, whatever it is told."""
WRITEBACK_UNITS = ("rpi-zram-writeback.timer", "rpi-setup-loop@*.service")
"""The units of the file that its zram writes back to."""
GONE = {"ends": list(WRITEBACK_UNITS), "stale": [MADE_AT_BOOT]}
"""What ends once it is to write nothing back: units, and files that a reload would read again."""

RpiSwap = Literal["replace", "zram", "leave"]
MECHANISMS: dict[RpiSwap, str | None] = {"replace": "none", "zram": "zram", "leave": None}
"""What each use has it make; None is its own choice."""


def conf(use: RpiSwap) -> File:
    """Return the drop-in that tells it what to make."""
    return File(path=CONF, text=render("memory/rpi-swap.conf.j2", mechanism=MECHANISMS[use]))


def is_there(snapshot: Snapshot) -> bool:
    """Tell whether the node is known to have it."""
    packages = {} if isinstance(snapshot.packages, Unknown) else snapshot.packages
    return bool(packages.get(PACKAGE))


def makes(maker: parse.SwapMaker) -> bool:
    """Tell whether it is what makes this swap."""
    return maker.path == SOURCE or maker.name in UNITS


def too_much(use: RpiSwap, makers: Iterable[parse.SwapMaker], zram_unit: str) -> tuple[str, ...]:
    """Name the units with which it makes what it is not to make."""
    left = {"replace": (), "zram": (zram_unit,)}
    return tuple(
        maker.name
        for maker in makers
        if use != "leave" and makes(maker) and maker.name not in left[use]
    )
