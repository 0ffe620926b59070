"""What the kernel says of a USB disk's bridge: who it is, which driver has it, and what went wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bramble.parse import Disk
from bramble.snapshot import FileState, Output, Snapshot, Unknown

BLOCK = "/sys/block"
DEVICES = "/sys/bus/usb/devices"
UAS = "/sys/bus/usb/drivers/uas"
FILES = (f"{BLOCK}/sd*", f"{DEVICES}/*-*/idVendor", f"{DEVICES}/*-*/idProduct", f"{UAS}/*-*")
KERNEL_LOG = (
    "journalctl -k -b -q --no-pager -o cat "
    "-g 'uas_eh_|reset (High|Super)Speed|EXT4-fs error|I/O error'"
)
_PORT = re.compile(r"/(?P<port>\d+-[\d.]+)/(?P<interface>\d+-[\d.]+:\d+\.\d+)/(?P<host>host\d+)/")


@dataclass(frozen=True)
class Bridge:
    """A USB disk's bridge: its VENDOR:PRODUCT, where it hangs, and whether the driver is uas."""

    product: str
    port: str
    host: str
    uas: bool


def bridge(look: Snapshot, disk: Disk) -> Bridge | Unknown:
    """The bridge of a USB disk."""
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


def kernel_log(look: Snapshot) -> tuple[str, ...] | Unknown:
    """The lines of this boot's kernel log that may tell of a failing disk."""
    said = look.command(KERNEL_LOG)
    if isinstance(said, Unknown):
        return said
    # Nothing found is exit code 1 without a word.
    if not isinstance(said, Output) or (said.code and said.output.strip()):
        return Unknown(said.output.strip() if said else "there is no journalctl")
    return tuple(said.output.splitlines())


def resets(lines: tuple[str, ...], disk: Disk, bridge: Bridge) -> tuple[str, ...]:
    """The lines that tell of a reset or of an aborted command of this disk."""
    name = re.escape(disk.path.rpartition("/")[2])
    ours = re.compile(
        rf"^usb {re.escape(bridge.port)}: reset |\[{name}\].*uas_eh_|^scsi {bridge.host}: uas_eh_"
    )
    return tuple(line for line in lines if ours.search(line))


def errors(lines: tuple[str, ...], volume: Disk) -> tuple[str, ...]:
    """The lines that tell of errors of this volume's file system, or in reading and writing it."""
    name = re.escape(volume.path.rpartition("/")[2])
    ours = re.compile(rf"EXT4-fs error \(device {name}\)|I/O error,? (on )?(dev(ice)? )?{name}\b")
    return tuple(line for line in lines if ours.search(line))
