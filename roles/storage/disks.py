"""Which disk is the SSD, and why none is: pure decisions from one look.

A disk is named as it is named below /dev/disk/by-id. One without a name of its own is a disk all the
same: it may be used by what is on it, and is never formatted. In a container lsblk may show the host's
disks, but only what is meant for it has a name in its /dev.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from bramble.roles.storage import naming
from bramble.roles.storage.naming import BY_ID, There
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.system import fstab
from bramble.system.parse import Disk

LABEL = "bramble-ssd"
STAGED = "bramble-new"
"""The label while a disk is being formatted: nothing was ever mounted from it."""
USABLE = ("ext4", "xfs")
"""File systems with owners and modes in which a swap file needs no special care."""
_NAMESPACE = uuid.UUID("6e0e7a56-5d4c-4a5e-9d53-3c7a5f1f2b0d")

State = Literal["off", "absent", "refused", "format", "ready"]


@dataclass(frozen=True, kw_only=True)
class Desired:
    """The settings of `storage.ssd`, as a plan holds them."""

    device: str
    mount: str
    erase: str | None
    required: bool | None
    least_gib: int
    free_gib: int
    device_timeout_s: int


@dataclass(frozen=True)
class Choice:
    """The disk that is the SSD, or why there is none; `why` is for people.

    `uuid` is its file system's: of one to be made it is known before, as it follows from the disk's
    name. `volume` is the disk itself or the partition that is mounted.
    """

    state: State
    why: str
    name: str = ""
    disk: Disk | None = None
    volume: Disk | None = None
    uuid: str = ""


def choose(desired: Desired, look: Snapshot) -> Choice | Unknown:
    """Choose a node's SSD by its settings and one look; never guess between two."""
    if desired.device == "off":
        return Choice("off", "storage.ssd.device is off")
    if isinstance(look.disks, Unknown):
        return look.disks
    if isinstance(look.files, Unknown):
        return look.files
    there = naming.There.of(look)
    found = _by_rule(desired, look, there)
    return found if isinstance(found, Choice) else _judged(desired, look, there, *found)


Found = tuple[Disk, Disk | None]
"""A disk, and the one of its volumes that was named, if one was."""


def _by_rule(desired: Desired, look: Snapshot, there: There) -> Found | Choice:
    source, text = desired.device, fstab_text(look)
    entry = fstab.at(text, desired.mount) if isinstance(text, str) else None
    if source == "auto" and entry:
        # What is mounted there at boot already is what the person, or an earlier run, chose.
        source = entry.source
        if not naming.is_of_a_disk(entry):
            return Choice("refused", _no_disk(entry))
    if source == "auto":
        return _only(desired, there)
    return _named(naming.written(source), there)


def _no_disk(entry: fstab.Entry) -> str:
    return (
        f"{fstab.PATH} has {entry.source} ({entry.fstype}) at {entry.target}, which is no disk of this "
        "node; set another folder in storage.ssd.mount"
    )


def _named(source: str, there: There) -> Found | Choice:
    """Return the one volume that a source names."""
    found = there.find(source)
    if not found:
        return Choice("absent", f"there is no {shown(source)} here; {_what_is_there(there)}")
    if len(found) > 1:
        paths = " and ".join(volume.path for _, volume in found)
        return Choice(
            "refused",
            f"{len(found)} disks are {shown(source)} ({paths}): unplug the copy, or name one",
        )
    disk, volume = found[0]
    other = there.twin(disk) if source.startswith(f"{BY_ID}/") else None
    if other:
        return Choice("refused", _not_alone(shown(source), disk, other))
    if volume is not disk and volume.kind != "part":
        return Choice(
            "refused",
            f"{shown(source)} is {volume.path} ({volume.kind}), and the SSD must be a disk or a "
            "partition of one; name another, or set storage.ssd.device to off",
        )
    return disk, None if volume is disk else volume


def shown(source: str) -> str:
    """Return a source as the settings write it."""
    return source.removeprefix(f"{BY_ID}/")


def _not_alone(name: str, disk: Disk, other: str) -> str:
    return (
        f"{name} is not the name of one disk alone: {other}, and {disk.path} has it now. After a reboot "
        "it may be the other one's. Unplug one of them, or name a file system as UUID=... in "
        "storage.ssd.device"
    )


def _only(desired: Desired, there: There) -> tuple[Disk, None] | Choice:
    """Return the one USB or NVMe disk that nothing else uses; of several, the one that is ours."""
    free = [
        disk
        for disk in there.disks
        if disk.kind == "disk" and disk.transport in ("usb", "nvme") and disk.size_bytes
        if not used_at(disk, desired.mount)
    ]
    ours = [disk for disk in free if is_ours(disk, there.names(disk))]
    several = ours or free
    if len(several) == 1:
        return several[0], None
    if not several:
        return Choice("absent", "no USB or NVMe disk is there that nothing else uses")
    listed = ", ".join(there.name(disk) for disk in several)
    return Choice("refused", f"there are {len(several)}: {listed}. Name one in storage.ssd.device")


def _what_is_there(there: There) -> str:
    listed = ", ".join(there.name(disk) for disk in there.disks if disk.kind == "disk")
    return f"there are {listed}" if listed else "no disk has a name below /dev/disk/by-id"


def volumes(disk: Disk) -> tuple[Disk, ...]:
    """Return a disk's partitions, or the disk without any; volumes inside one (LVM) do not count."""
    return tuple(part for part in disk.parts if part.kind == "part") or (disk,)


def used_at(disk: Disk, mount: str) -> tuple[str, ...]:
    """Return where a disk or a part of it is mounted or used as swap, besides the SSD's own folder."""
    own = tuple(place for place in disk.mountpoints if place != mount)
    return (*own, *(place for part in disk.parts for place in used_at(part, mount)))


def is_ours(disk: Disk, named: tuple[str, ...]) -> bool:
    """Tell whether bramble made a disk's file system: by its label, or by its UUID once relabelled."""
    made = {uuid_of(name) for name in named}
    return any(v.label in (LABEL, STAGED) or v.uuid in made for v in volumes(disk))


def uuid_of(name: str) -> str:
    """Return the UUID of the file system to make on a disk of this name."""
    return str(uuid.uuid5(_NAMESPACE, name))


def _judged(
    desired: Desired, look: Snapshot, there: There, disk: Disk, volume: Disk | None
) -> Choice:
    """Decide what to do with the disk."""
    name, named = there.name(disk), there.names(disk)
    refusal = _refusal(desired, disk, volume, name, named)
    if refusal:
        return Choice("refused", refusal, name, disk)
    ready = volume or _usable(disk)
    staged = ready and ready.label == STAGED and desired.mount not in ready.mountpoints
    blank = volume is None and is_blank(disk)
    if ready and not staged and (desired.erase is None or is_ours(disk, named)):
        return Choice("ready", f"it holds {contents(disk)}", name, disk, ready, ready.uuid or "")
    if not (blank or staged or desired.erase in named):
        return Choice("refused", _has_data(disk, name, bool(named)), name, disk)
    against = _against_formatting(desired, look, there, disk)
    if against:
        return Choice("refused", against, name, disk)
    return Choice("format", _blank_or_erase(desired, disk), name, disk, disk, uuid_of(name))


def _against_formatting(desired: Desired, look: Snapshot, there: There, disk: Disk) -> str | None:
    """Return why a disk must not be formatted although its contents do not forbid it."""
    name, named, other = there.name(disk), there.names(disk), there.twin(disk)
    if not named:
        return f"{disk.path} has no name of its own below {BY_ID}, so it is not formatted; " + (
            f"{other}; unplug one of them" if other else "look at `udevadm info` of it"
        )
    if other:
        return _not_alone(name, disk, other)
    for made in map(uuid_of, named):
        for _, volume in there.find(f"UUID={made}"):
            if volume.path not in naming.paths(disk):
                return (
                    f"{volume.path} holds the file system {made}, which bramble made for {name}, and "
                    f"that is {disk.path} now; unplug one of them, or set storage.ssd.device to "
                    f"UUID={made}"
                )
    text = fstab_text(look)
    for entry in fstab.entries(text) if isinstance(text, str) else ():
        here = (volume for _, volume in there.find(naming.written(entry.source)))
        if entry.target != desired.mount and any(v.path in naming.paths(disk) for v in here):
            return f"{fstab.PATH} has {name} at {entry.target} ({entry.fstype}); remove that line first"
    return None


def _refusal(
    desired: Desired, disk: Disk, volume: Disk | None, name: str, named: tuple[str, ...]
) -> str | None:
    """Return why the disk must be left alone, whatever is on it."""
    place = volume or disk
    elsewhere = used_at(place, desired.mount)
    if elsewhere:
        return f"{name} is in use at {', '.join(elsewhere)}; unmount it there, or name another disk"
    if disk.read_only:
        return f"{name} is read-only; look for its switch, or replace it"
    if place.size_bytes < desired.least_gib << 30:
        return (
            f"{name} has {place.size_bytes / (1 << 30):.1f} GiB, and storage.ssd.least_gib is "
            f"{desired.least_gib}; use a larger disk"
        )
    if desired.erase and desired.erase not in named and not is_ours(disk, named):
        return (
            f"storage.ssd.erase names {desired.erase}, and the disk is {name}; nothing is touched until "
            "they agree"
        )
    if volume and (volume.fstype not in USABLE or volume.parts):
        return _has_data(volume, name, bool(named))
    return None


def is_blank(disk: Disk) -> bool:
    """Tell whether no signature is known on a disk; the node itself checks that it is empty."""
    return not (disk.parts or disk.fstype or disk.table)


def _usable(disk: Disk) -> Disk | None:
    """Return the volume to mount: the disk's only one, with a supported file system; else None."""
    found = volumes(disk)
    # What else holds it (LVM, encryption, multipath) would have to let it go.
    held = found[0].parts if found[0] is not disk else disk.parts
    if len(found) == 1 and found[0].fstype in USABLE and found[0].uuid and not held:
        return found[0]
    return None


def _blank_or_erase(desired: Desired, disk: Disk) -> str:
    if is_blank(disk):
        return "it is blank"
    return f"storage.ssd.erase allows to erase {contents(disk)}"


def contents(disk: Disk) -> str:
    """Describe what is on a disk."""
    parts = [part for part in disk.parts if part.kind == "part"]
    reported = [
        f"{volume.fstype}{f' ({volume.label})' if volume.label else ''}"
        for volume in volumes(disk)
        if volume.fstype
    ]
    # lsblk reports for a partition the table that it is in.
    if disk.table and not parts and disk.kind != "part":
        reported.append(f"a {disk.table} partition table without partitions")
    elif parts:
        reported = [f"{len(parts)} partition{'s' * (len(parts) > 1)}", *reported]
    held = [part for volume in volumes(disk) for part in volume.parts if part.kind != "part"]
    reported += [f"{part.path} ({part.kind}) upon it" for part in held]
    return ", ".join(reported) or "nothing known"


def _has_data(disk: Disk, name: str, has_name: bool) -> str:
    way_out = f"set storage.ssd.erase to {name}" if has_name else "empty it yourself"
    return (
        f"{name} holds {contents(disk)}, and is left alone: the SSD must be one {' or '.join(USABLE)} "
        f"file system. Copy what you need to another place and {way_out}, or name a file system on it "
        "as UUID=... in storage.ssd.device"
    )


def must(desired: Desired) -> bool:
    """Tell whether a node without a usable SSD fails."""
    if desired.required is None:
        return desired.device not in ("auto", "off") or desired.erase is not None
    return desired.required


def fstab_text(look: Snapshot) -> str | Unknown | None:
    """Return the text of fstab; None where there is none."""
    seen = look.file(fstab.PATH)
    return seen.text if isinstance(seen, FileState) else seen
