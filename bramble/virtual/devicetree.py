"""The device tree that a node shows at /sys/firmware/devicetree/base, byte for byte as a Pi's.

The firmware of a real Pi hands the kernel this tree. Strings end in NUL, lists of strings are
joined by NUL, numbers are big-endian. /proc/device-tree, which links here on a Pi, cannot be made
in a container's /proc: read /sys/firmware/devicetree/base.
"""

import hashlib
import re

from bramble.virtual.boards import Board

BOOTARGS = "cgroup_disable=memory numa_policy=interleave"
"""What the device tree of a Pi puts before cmdline.txt (raspberrypi/linux#6980, PR 6273)."""

_VERSION_LINE = re.compile(r"^version (\S+)", re.MULTILINE)
_NUMBER_LINE = r"^{} (\S+)$"


def text(*values: str) -> bytes:
    """Return strings as device tree bytes."""
    return b"".join(value.encode() + b"\0" for value in values)


def number(value: int, width_bytes: int = 4) -> bytes:
    """Return a number as device tree bytes."""
    return value.to_bytes(width_bytes, "big")


def serial_of(name: str) -> int:
    """Return a serial number made from the node's name, so that it survives `down` and `up`."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def properties(board: Board, serial: int, bootloader_version: str) -> dict[str, bytes]:
    """Return every property by its path below the tree's base.

    `bootloader_version` is what the node's vcgencmd prints, so that both agree.
    """
    return {
        "model": text(board.model),
        "compatible": text(*board.compatible),
        "serial-number": text(f"{serial:016x}"),
        "system/linux,revision": number(board.revision),
        "system/linux,serial": number(serial, 8),
        **_power(board),
        **_bootloader(bootloader_version),
    }


def _power(board: Board) -> dict[str, bytes]:
    """Return what the firmware negotiated with the supply, where it does."""
    return {"chosen/power/max_current": number(board.psu_ma)} if board.psu_ma else {}


def _bootloader(said: str) -> dict[str, bytes]:
    version = _VERSION_LINE.search(said)
    found = {"chosen/bootloader/version": text(version[1])} if version else {}
    for line_name, property_name in (
        ("timestamp", "build-timestamp"),
        ("update-time", "update-timestamp"),
        ("capabilities", "capabilities"),
    ):
        value = re.search(_NUMBER_LINE.format(line_name), said, re.MULTILINE)
        if value:
            found[f"chosen/bootloader/{property_name}"] = number(int(value[1], 0))
    return found
