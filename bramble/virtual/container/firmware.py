"""A Pi's firmware for a container: what happens between power-on and the kernel's start."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from bramble.virtual import devicetree, doubles
from bramble.virtual.boards import board
from bramble.virtual.spec import Spec

_BOOT = "boot/firmware"


def power_on(node: Spec, root: Path) -> str:
    """Take a staged EEPROM update and make what this boot will see; return its command line."""
    current = root / doubles.PLACE / "current"
    take_eeprom_update(root / _BOOT, current, f"{node.board}-{doubles.AFTER_UPDATE}")
    said = current / "vcgencmd" / "bootloader_version"
    tree = devicetree.properties(
        board(node.board),
        devicetree.serial_of(node.name),
        said.read_text() if said.is_file() else "",
    )
    write_tree(tree, node.folder / "firmware/devicetree/base")
    return write_cmdline(root / _BOOT / "cmdline.txt", node.folder / "firmware/virtual-pi/cmdline")


def write_tree(tree: Mapping[str, bytes], base: Path) -> None:
    """Write the device tree again below `base`, readable by all and writable by none."""
    shutil.rmtree(base, ignore_errors=True)
    for path, content in tree.items():
        file = base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o444)


def write_cmdline(source: Path, target: Path) -> str:
    """Write what the node reads at /proc/cmdline, from cmdline.txt at its boot; return it.

    Only the text: no parameter has an effect on the host's kernel, which all nodes share.
    """
    lines = source.read_text().splitlines() if source.is_file() else []
    target.parent.mkdir(parents=True, exist_ok=True)
    # The firmware takes the first line and no other.
    cmdline = " ".join([devicetree.BOOTARGS, *lines[:1]])
    target.write_text(f"{cmdline}\n")
    return cmdline


def take_eeprom_update(boot: Path, current: Path, updated: str) -> None:
    """Take a staged update as recovery.bin does, which then renames itself so that it runs once."""
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
