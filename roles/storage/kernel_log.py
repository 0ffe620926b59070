"""What the kernel's log of this boot has against disks, each line by the disk that it is about.

Which lines are bad is told by words that every driver and file system uses for it, and not by a list
of messages: one that nobody thought of is told as well, as long as it names a disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bramble.roles.storage import naming
from bramble.snapshot import FileState, Output, Snapshot, Unknown
from bramble.system.parse import Disk

BLOCK = "/sys/block"
FILES = (f"{BLOCK}/sd*",)
BEGINNING = "Linux version "
"""The first line of every boot: without it the log is not whole."""
_BAD = (
    "error|abort|reset|fail|offline|timed out|timing out|timeout|read-only|corrupt|is down|not ready|"
    "shut ?down|disconnect|stuck|dead|died|lost|frozen|uas_eh_|uas_zap"
)
# The last 2000 are enough to tell by, and keep a look short.
COMMAND = (
    f"journalctl -k -b -q --no-pager -o cat -n 2000 --case-sensitive=no -g '^{BEGINNING}|{_BAD}'"
)
_IS_BAD = re.compile(_BAD, re.IGNORECASE)
# Said at every boot, of an option, or after a power cut that the file system made good.
_FINE = re.compile(
    r"Shutdown timeout set|errors=|Volume was not properly unmounted|recovery complete|"
    r"Power-on or device reset occurred"
)
_DEVICE = (
    r"(?P<name>(?:sd[a-z]|nvme\d|mmcblk\d|loop\d|dm-\d|md\d|zram\d|[vx]v?d[a-z]|sr\d|nbd\d)\w*)"
)
_NAMED = re.compile(
    rf"(?:\bdev |\bdevice |-fs \(|^XFS \(|^nvme |^sd [\d:]+: \[|^){_DEVICE}(?=[\s,:;)\]-]|$)"
)
_SCSI = re.compile(r"/(?P<host>host\d+)/target[\d:]+/(?P<address>\d+:\d+:\d+:\d+)/")
_PORT = re.compile(r"/(?P<port>\d+-[\d.]+)/\d+-[\d.]+:\d+\.\d+/")


@dataclass(frozen=True)
class Log:
    """The lines of this boot that may be about a failing disk, and whether its beginning is there."""

    lines: tuple[str, ...]
    whole: bool


def read(look: Snapshot) -> Log | Unknown:
    """Return the kernel's log of this boot."""
    said = look.command(COMMAND)
    if isinstance(said, Unknown):
        return said
    # Nothing found, and no log at all, give exit code 1 without output.
    if not isinstance(said, Output) or (said.code and said.output.strip()):
        return Unknown(said.output.strip() if said else "there is no journalctl")
    lines = said.output.splitlines()
    kept = tuple(line for line in lines if not line.startswith(BEGINNING))
    return Log(kept, len(kept) < len(lines))


def errors(log: Log, look: Snapshot) -> Mapping[str, tuple[str, ...]]:
    """Return the error lines of each disk by its path; by the name in the line without such a disk."""
    disks = () if isinstance(look.disks, Unknown) else look.disks
    patterns = [(disk.path, _pattern(disk, look)) for disk in disks]
    found: dict[str, list[str]] = {}
    for line in filter(_is_bad, log.lines):
        path = next((path for path, pattern in patterns if pattern.search(line)), None)
        named = _NAMED.search(line)
        whose = path or (named and named["name"])
        if whose:
            found.setdefault(whose, []).append(line)
    return {whose: tuple(lines) for whose, lines in found.items()}


def _is_bad(line: str) -> bool:
    return bool(_IS_BAD.search(line)) and not _FINE.search(line)


def _pattern(disk: Disk, look: Snapshot) -> re.Pattern[str]:
    """Return the pattern of lines about a disk."""
    names = "|".join(map(re.escape, _names(disk, look)))
    return re.compile(rf"(?<![\w.:-])(?:{names})(?![\w.])")


def _names(disk: Disk, look: Snapshot) -> Iterator[str]:
    """Yield the kernel's names of a disk, its partitions, its controller and its parent device."""
    for path in naming.paths(disk):
        yield path.rpartition("/")[2]
    name = disk.path.rpartition("/")[2]
    controller = re.match(r"nvme\d+(?=n)", name)
    if controller:
        yield controller[0]
    if name.startswith("mmcblk"):
        yield name.replace("mmcblk", "mmc")
    link = look.file(f"{BLOCK}/{name}") if name.startswith("sd") else None
    target = link.target or "" if isinstance(link, FileState) else ""
    scsi, port = _SCSI.search(target), _PORT.search(target)
    if scsi:
        yield scsi["address"]
        yield f"scsi {scsi['host']}"
    if port:
        yield f"usb {port['port']}"
