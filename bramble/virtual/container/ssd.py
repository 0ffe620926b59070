"""The second disk of a node, which plays the USB SSD: a loop device over a sparse file.

Blank, as a new disk is. It costs no space until it is written, and no time to make.
"""

import os
from pathlib import Path

from bramble.virtual.commands import run
from bramble.virtual.spec import SSD_BYTES

IMAGE = "ssd.img"


def ensure_image(image: Path) -> None:
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(SSD_BYTES)


def attach(image: Path) -> tuple[str, int]:
    """Attach a loop device to the image; return it with a descriptor that must stay open.

    Detaching a device that is open only marks it: the kernel frees it at the last close, which
    comes with the end of the supervisor, however it ends. So no loop device can be left behind.
    """
    device = run("losetup", "--find", "--show", str(image)).strip()
    held = os.open(device, os.O_RDONLY)
    run("losetup", "--detach", device)
    return device, held


def devices(image: Path) -> list[str]:
    """Return the loop devices that are attached to this image."""
    listed = run("losetup", "--associated", str(image), "--noheadings", "--output", "NAME")
    return listed.split()
