"""What article D's five-item checklist, typed by hand, would have said of a node that was looked at.

Its words are those of "Deployment Checklist: Pre-Flight Requirements" (docs/explanation/articles.md has
the article). Each item is judged in its favour: what its command does not show, or not in the form that
the item asks for, counts as seen by whoever typed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bramble.snapshot import Output, Snapshot, Unknown

GIB_KIB = 1024 * 1024
GB = 10**9
SSD = "/mnt/ssd"


@dataclass(frozen=True)
class Item:
    """One thing to look at: its words, its commands, and whether a node shows what it asks for."""

    name: str
    words: str
    commands: str
    is_shown: Callable[[Snapshot], bool]


def memory(look: Snapshot) -> bool:
    """Whether `free -h` shows 1.5 GB of available memory."""
    said = look.memory_kib
    return not isinstance(said, Unknown) and said.get("MemAvailable", 0) >= 1.5 * GIB_KIB


def storage(look: Snapshot) -> bool:
    """Whether `df -h` has a line for the SSD, with 5 GB free."""
    mounts, disks, free = look.mounts, look.disks, look.free_bytes
    if isinstance(mounts, Unknown) or isinstance(disks, Unknown) or isinstance(free, Unknown):
        return False
    of_disks = {place for disk in disks for place in disk.mountpoints}
    is_there = SSD in of_disks and any(mount.target == SSD for mount in mounts)
    return is_there and free.get(SSD, 0) >= 5 * GB


def swap(look: Snapshot) -> bool:
    """Whether `zramctl` has a device, and `swapon` a file of 2 GB on the SSD."""
    if isinstance(look.swaps, Unknown):
        return False
    files = [one for one in look.swaps if one.path.startswith(f"{SSD}/")]
    zram = any(one.path.startswith("/dev/zram") for one in look.swaps)
    return zram and any(one.size_kib * 1024 >= 2 * GB for one in files)


def firmware(look: Snapshot) -> bool:
    """Whether `rpi-eeprom-update` says that the bootloader is up to date."""
    said = look.command("rpi-eeprom-update")
    return isinstance(said, Output) and "BOOTLOADER: up to date" in said.output


def thermals(look: Snapshot) -> bool:
    """Whether `vcgencmd measure_temp` tells less than 50 degrees."""
    said = look.command("vcgencmd measure_temp")
    found = re.search(r"temp=([\d.]+)", said.output) if isinstance(said, Output) else None
    return found is not None and float(found[1]) < 50


CHECKLIST = (
    Item(
        "Memory",
        "at least 1.5GB of available RAM before the model is loaded",
        "`free -h`",
        memory,
    ),
    Item("Storage", "the SSD has at least 5GB of free space", "`df -h`", storage),
    Item(
        "Swap",
        "ZRAM is active and the swap file on the SSD is at least 2GB",
        "`zramctl`, `swapon`",
        swap,
    ),
    Item(
        "Firmware",
        "the Pi is using the latest bootloader",
        "`sudo rpi-eeprom-update`",
        firmware,
    ),
    Item("Thermals", "an idle temperature below 50°C", "`vcgencmd measure_temp`", thermals),
)


def seen_by_checklist(look: Snapshot) -> tuple[str, ...]:
    """Return the items, by their names, that would have told of something on this node."""
    return tuple(item.name for item in CHECKLIST if not item.is_shown(look))
