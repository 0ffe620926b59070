"""Plays a Pi's firmware: what happens between power-on and the kernel's start."""

from pathlib import Path

from bramble.virtual import devicetree, doubles
from bramble.virtual.boards import board
from bramble.virtual.spec import Spec

_BOOT = "boot/firmware"

BOOTARGS = "cgroup_disable=memory numa_policy=interleave"
"""What the device tree of a Pi puts before cmdline.txt (raspberrypi/linux#6980, PR 6273)."""


def power_on(node: Spec, root: Path) -> None:
    """Takes a staged EEPROM update, then makes the device tree that this boot will see."""
    current = root / doubles.PLACE / "current"
    take_eeprom_update(root / _BOOT, current, f"{node.board}-{doubles.AFTER_UPDATE}")
    said = current / "vcgencmd" / "bootloader_version"
    tree = devicetree.properties(
        board(node.board),
        devicetree.serial_of(node.name),
        said.read_text() if said.is_file() else "",
    )
    devicetree.write(tree, node.folder / "firmware/devicetree/base")
    write_cmdline(root / _BOOT / "cmdline.txt", node.folder / "firmware/virtual-pi/cmdline")


def write_cmdline(source: Path, target: Path) -> None:
    """What the node reads at /proc/cmdline: as on a Pi, cmdline.txt of the time of the boot.

    Only the text: no token has an effect on the host's kernel, which all nodes share.
    """
    lines = source.read_text().splitlines() if source.is_file() else []
    target.parent.mkdir(parents=True, exist_ok=True)
    # The firmware takes the first line and no other.
    target.write_text(" ".join([BOOTARGS, *lines[:1]]) + "\n")


def take_eeprom_update(boot: Path, current: Path, updated: str) -> None:
    """As recovery.bin does: writes the image, then renames itself so that it runs once."""
    staged = boot / "pieeprom.upd"
    if not staged.exists():
        return
    for name in ("pieeprom.upd", "pieeprom.sig"):
        (boot / name).unlink(missing_ok=True)
    recovery = boot / "recovery.bin"
    if recovery.exists():
        recovery.rename(boot / "recovery.000")
    current.unlink(missing_ok=True)
    current.symlink_to(updated)
