"""A USB disk's bridge: who it is, which driver has it, and whether the kernel had to reset it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bramble.roles.storage.kernel_log import BLOCK
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.system.parse import Disk

DEVICES = "/sys/bus/usb/devices"
UAS = "/sys/bus/usb/drivers/uas"
FILES = (f"{DEVICES}/*-*/idVendor", f"{DEVICES}/*-*/idProduct", f"{UAS}/*-*")
_PORT = re.compile(r"/(?P<port>\d+-[\d.]+)/(?P<interface>\d+-[\d.]+:\d+\.\d+)/(?P<host>host\d+)/")


@dataclass(frozen=True)
class Bridge:
    """A USB disk's bridge: its VENDOR:PRODUCT, where it hangs, and whether the driver is uas."""

    product: str
    port: str
    host: str
    uas: bool


def bridge(look: Snapshot, disk: Disk) -> Bridge | Unknown:
    """Return the bridge of a USB disk."""
    name = disk.path.rpartition("/")[2]
    link = look.file(f"{BLOCK}/{name}")
    found = _PORT.search(link.target or "") if isinstance(link, FileState) else None
    if found is None:
        return link if isinstance(link, Unknown) else Unknown(f"sysfs tells no USB port of {name}")
    port = found["port"]
    words = [look.file(f"{DEVICES}/{port}/{word}") for word in ("idVendor", "idProduct")]
    texts = [(word.text or "").strip() for word in words if isinstance(word, FileState)]
    if len(texts) != len(words):
        return Unknown(f"sysfs tells no vendor and product of {port}")
    uas = isinstance(look.file(f"{UAS}/{found['interface']}"), FileState)
    return Bridge(":".join(texts), port, found["host"], uas)


def resets(lines: tuple[str, ...], disk: Disk, bridge: Bridge) -> tuple[str, ...]:
    """Return the lines on resets or disconnects of the bridge, or aborted commands of this disk."""
    name = re.escape(disk.path.rpartition("/")[2])
    ours = re.compile(
        rf"^usb {re.escape(bridge.port)}: (?:reset |USB disconnect)"
        rf"|\[{name}\].*uas_eh_|^scsi {bridge.host}: uas_eh_"
    )
    return tuple(line for line in lines if ours.search(line))
