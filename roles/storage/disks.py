"""Which disk is the SSD, and why none is: pure decisions from one look.

A disk is named as it is named below /dev/disk/by-id. One without such a name is never touched: in a
container lsblk may show the host's disks, but only what is meant for it has a name in its /dev.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from bramble import fstab
from bramble.parse import Disk
from bramble.snapshot import FileState, Snapshot, Unknown

BY_ID = "/dev/disk/by-id"
LABEL = "bramble-ssd"
STAGED = "bramble-new"
"""The label while a disk is being formatted: nothing was ever mounted from it."""
USABLE = ("ext4", "xfs")
"""File systems with owners and modes in which a swap file needs no special care."""
_KINDS = ("usb-", "nvme-", "ata-", "scsi-", "virtio-", "mmc-", "wwn-")
_NAMESPACE = uuid.UUID("6e0e7a56-5d4c-4a5e-9d53-3c7a5f1f2b0d")

State = Literal["off", "absent", "refused", "format", "ready"]


@dataclass(frozen=True, kw_only=True)
class Wish:
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


def choose(wish: Wish, look: Snapshot) -> Choice | Unknown:
    """The SSD of a node by its settings and one look; never a guess between two."""
    if wish.device == "off":
        return Choice("off", "storage.ssd.device is off")
    if isinstance(look.disks, Unknown):
        return look.disks
    if isinstance(look.files, Unknown):
        return look.files
    named = names(look)
    disks = [disk for disk in look.disks if named.get(disk.path)]
    found = _by_rule(wish, look, disks, named)
    if isinstance(found, Choice):
        return found
    disk, volume = found
    return _judged(wish, disk, volume, named[disk.path])


def names(look: Snapshot) -> dict[str, tuple[str, ...]]:
    """The names below /dev/disk/by-id of each device's path, the most telling first."""
    files = {} if isinstance(look.files, Unknown) else look.files
    found: dict[str, list[str]] = {}
    for path, seen in files.items():
        if path.startswith(f"{BY_ID}/") and isinstance(seen, FileState) and seen.target:
            device = "/dev/" + seen.target.rpartition("/")[2]
            found.setdefault(device, []).append(path.removeprefix(f"{BY_ID}/"))
    return {device: tuple(sorted(several, key=_telling)) for device, several in found.items()}


def _telling(name: str) -> tuple[bool, int, str]:
    kind = next((place for place, kind in enumerate(_KINDS) if name.startswith(kind)), len(_KINDS))
    return (name.startswith(("nvme-eui.", "nvme-nvme.")), kind, name)


Found = tuple[Disk, Disk | None]
"""A disk, and the one of its volumes that was named, if one was."""


def _by_rule(
    wish: Wish, look: Snapshot, disks: list[Disk], named: dict[str, tuple[str, ...]]
) -> Found | Choice:
    source = wish.device
    text = fstab_text(look)
    entry = fstab.at(text, wish.mount) if isinstance(text, str) else None
    if source == "auto" and entry:
        # What is mounted there at boot already is what the person, or an earlier run, chose.
        source = entry.source.removeprefix(f"{BY_ID}/")
        if source.startswith(("PARTUUID=", "PARTLABEL=", "/")):
            return _by_mount(wish, disks, source)
    if source == "auto":
        return _only(wish, disks, named)
    matches = [
        (disk, volume)
        for disk in disks
        for volume in (disk, *volumes(disk))
        if _is_named(volume, source, named)
    ]
    whole = [(disk, None if volume is disk else volume) for disk, volume in dict.fromkeys(matches)]
    if not whole:
        return Choice("absent", f"there is no {source} here; {_what_is_there(disks, named)}")
    if len(whole) > 1:
        return Choice("refused", f"{len(whole)} disks are {source}: unplug the copy, or name one")
    return whole[0]


def _by_mount(wish: Wish, disks: list[Disk], source: str) -> Found | Choice:
    """The disk that an entry of fstab names by another way than ours: known by what is mounted."""
    for disk in disks:
        for volume in volumes(disk):
            if wish.mount in volume.mountpoints or volume.path == source:
                return disk, volume
    return Choice("absent", f"{fstab.PATH} has {source} at {wish.mount}, and no disk here is it")


def _is_named(volume: Disk, source: str, named: dict[str, tuple[str, ...]]) -> bool:
    kind, _, value = source.partition("=")
    if kind == "UUID":
        return (volume.uuid or "").lower() == value.lower()
    if kind == "LABEL":
        return volume.label == value
    return source in named.get(volume.path, ())


def _only(
    wish: Wish, disks: list[Disk], named: dict[str, tuple[str, ...]]
) -> tuple[Disk, None] | Choice:
    """The one USB or NVMe disk that nothing else uses; of several, the one that is ours."""
    free = [
        disk
        for disk in disks
        if disk.kind == "disk" and disk.transport in ("usb", "nvme") and disk.size_bytes
        if not used_at(disk, wish.mount)
    ]
    ours = [disk for disk in free if is_ours(disk, named[disk.path])]
    several = ours or free
    if len(several) == 1:
        return several[0], None
    if not several:
        return Choice("absent", "no USB or NVMe disk is there that nothing else uses")
    listed = ", ".join(named[disk.path][0] for disk in several)
    return Choice("refused", f"there are {len(several)}: {listed}. Name one in storage.ssd.device")


def _what_is_there(disks: list[Disk], named: dict[str, tuple[str, ...]]) -> str:
    listed = ", ".join(named[disk.path][0] for disk in disks if disk.kind == "disk")
    return f"there are {listed}" if listed else "no disk has a name below /dev/disk/by-id"


def volumes(disk: Disk) -> tuple[Disk, ...]:
    """The partitions of a disk, or itself without any; what lies inside of one (LVM) is none."""
    return tuple(part for part in disk.parts if part.kind == "part") or (disk,)


def used_at(disk: Disk, mount: str) -> tuple[str, ...]:
    """Where a disk or a part of it is mounted or swapped to, besides the SSD's own folder."""
    own = tuple(place for place in disk.mountpoints if place != mount)
    return (*own, *(place for part in disk.parts for place in used_at(part, mount)))


def is_ours(disk: Disk, named: tuple[str, ...]) -> bool:
    """Whether bramble made the file system on a disk: by its label, or by its UUID once relabelled."""
    made = {uuid_of(name) for name in named}
    return any(v.label in (LABEL, STAGED) or v.uuid in made for v in volumes(disk))


def uuid_of(name: str) -> str:
    """The UUID of the file system that is made on a disk of this name."""
    return str(uuid.uuid5(_NAMESPACE, name))


def _judged(wish: Wish, disk: Disk, volume: Disk | None, named: tuple[str, ...]) -> Choice:
    """What is to be done about the disk."""
    name = named[0]
    refusal = _refusal(wish, disk, volume, named)
    if refusal:
        return Choice("refused", refusal, name, disk)
    made = Choice("format", _blank_or_erase(wish, disk), name, disk, disk, uuid_of(name))
    if volume is None and is_blank(disk):
        return made
    ready = volume or _usable(disk)
    if ready and ready.label == STAGED and wish.mount not in ready.mountpoints:
        return made
    if ready and (wish.erase is None or is_ours(disk, named)):
        return Choice("ready", f"it holds {contents(disk)}", name, disk, ready, ready.uuid or "")
    if wish.erase in named:
        return made
    return Choice("refused", _has_data(disk, name), name, disk)


def _refusal(wish: Wish, disk: Disk, volume: Disk | None, named: tuple[str, ...]) -> str | None:
    """Why the disk must be left alone, whatever is on it."""
    place, name = volume or disk, named[0]
    elsewhere = used_at(place, wish.mount)
    if elsewhere:
        return f"{name} is in use at {', '.join(elsewhere)}; unmount it there, or name another disk"
    if disk.read_only:
        return f"{name} is read-only; look for its switch, or replace it"
    if place.size_bytes < wish.least_gib << 30:
        return (
            f"{name} has {place.size_bytes / (1 << 30):.1f} GiB, and storage.ssd.least_gib is "
            f"{wish.least_gib}; use a larger disk"
        )
    if wish.erase and wish.erase not in named and not is_ours(disk, named):
        return (
            f"storage.ssd.erase names {wish.erase}, and the disk is {name}; nothing is touched until "
            "they agree"
        )
    if volume and volume.fstype not in USABLE:
        return _has_data(volume, name)
    return None


def is_blank(disk: Disk) -> bool:
    """Whether no signature is known on a disk; that it really is empty is seen on the node."""
    return not (disk.parts or disk.fstype or disk.table)


def _usable(disk: Disk) -> Disk | None:
    """The volume to mount: the only one of the disk, with a file system that will do."""
    found = volumes(disk)
    if len(found) == 1 and found[0].fstype in USABLE and found[0].uuid:
        return found[0]
    return None


def _blank_or_erase(wish: Wish, disk: Disk) -> str:
    if is_blank(disk):
        return "it is blank"
    return f"storage.ssd.erase allows to erase {contents(disk)}"


def contents(disk: Disk) -> str:
    """What is on a disk, for people."""
    told = [
        f"{volume.fstype}{f' ({volume.label})' if volume.label else ''}"
        for volume in volumes(disk)
        if volume.fstype
    ]
    # lsblk tells of a partition the table that it stands in.
    if disk.table and not disk.parts and disk.kind != "part":
        told.append(f"a {disk.table} partition table without partitions")
    elif disk.parts:
        told = [f"{len(disk.parts)} partition{'s' * (len(disk.parts) > 1)}", *told]
    return ", ".join(told) or "nothing known"


def _has_data(disk: Disk, name: str) -> str:
    return (
        f"{name} holds {contents(disk)}, and is left alone: the SSD must be one {' or '.join(USABLE)} "
        "file system. Copy what you need to another place and set storage.ssd.erase to "
        f"{name}, or name a file system on it as UUID=... in storage.ssd.device"
    )


def must(wish: Wish) -> bool:
    """Whether a node without a usable SSD fails."""
    if wish.required is None:
        return wish.device not in ("auto", "off") or wish.erase is not None
    return wish.required


def fstab_text(look: Snapshot) -> str | Unknown | None:
    """The text of fstab, None where there is none."""
    seen = look.file(fstab.PATH)
    return seen.text if isinstance(seen, FileState) else seen
