"""What a node's kernel shows of block devices: its USB SSD, and not the disks of the host.

sysfs is not split by containers: lsblk in a node would list every disk of the host and every
other node's loop device, and call its own `loop7`. So the few folders that show block devices
and buses are covered by small read-only ones in which the node's loop device is `sda` on USB.
A node's SD card is not in them: its root is an overlay. Partitions made on the disk do not appear
either (the kernel adds them to the real sysfs): use the whole disk on virtual Pis.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

DISK = "sda"
MODEL = "Virtual SSD"
VENDOR = "Bramble"
_SCSI = "usb2/2-1/2-1:1.0/host0/target0:0:0/0:0:0:0"
_SECTOR_BYTES = 512


def files(device_number: str, size_bytes: int, serial: str) -> dict[str, str]:
    """Return the files of /sys/devices/virtual/block as a USB disk has them."""
    return {
        f"{DISK}/dev": device_number,
        f"{DISK}/size": str(size_bytes // _SECTOR_BYTES),
        f"{DISK}/ro": "0",
        f"{DISK}/removable": "0",
        f"{DISK}/queue/rotational": "0",
        f"{DISK}/queue/logical_block_size": "512",
        f"{DISK}/queue/physical_block_size": "512",
        # Over USB the kernel seldom offers TRIM.
        f"{DISK}/queue/discard_granularity": "0",
        f"{DISK}/queue/discard_max_bytes": "0",
        f"{_SCSI}/type": "0",
        f"{_SCSI}/vendor": VENDOR,
        f"{_SCSI}/model": MODEL,
        f"{_SCSI}/serial": serial,
    }


def partitions(device_number: str, size_bytes: int) -> str:
    """Return the text of /proc/partitions, by which blkid and `mount UUID=` find disks."""
    major, minor = device_number.split(":")
    row = f"{major:>4}  {minor:>7} {size_bytes // 1024:>10} {DISK}"
    return f"major minor  #blocks  name\n\n{row}\n"


def write(place: Path, device: str, size_bytes: int, serial: str) -> dict[Path, str]:
    """Write the tree for a loop device; return what must be bound where in the node."""
    number = os.stat(device).st_rdev
    device_number = f"{os.major(number)}:{os.minor(number)}"
    shutil.rmtree(place, ignore_errors=True)
    _write_files(place / "devices", files(device_number, size_bytes, serial))
    (place / "devices" / DISK / "device").symlink_to(f"../{_SCSI}")
    (place / "devices" / DISK / "subsystem").symlink_to("/sys/class/block")
    for folder, name, up in (
        ("block", DISK, ".."),
        ("class", DISK, "../.."),
        ("dev", device_number, "../.."),
    ):
        (place / folder).mkdir()
        (place / folder / name).symlink_to(f"{up}/devices/virtual/block/{DISK}")
    # The bus: by this link lsblk knows that the disk is on USB.
    bus = place / "bus/scsi/devices"
    bus.mkdir(parents=True)
    (bus / "0:0:0:0").symlink_to(f"../../../devices/virtual/block/{_SCSI}")
    # Bound over /proc/partitions by a mount unit of the node: nspawn binds nothing below /proc.
    (place / "devices/partitions").write_text(partitions(device_number, size_bytes))
    return {
        place / "devices": "/sys/devices/virtual/block",
        place / "block": "/sys/block",
        place / "class": "/sys/class/block",
        place / "dev": "/sys/dev/block",
        place / "bus": "/sys/bus",
    }


def _write_files(base: Path, content: Mapping[str, str]) -> None:
    for path, text in content.items():
        file = base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
