"""What a name stands for: the disks of one look, by every kind of name that a source may use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bramble.node import container
from bramble.snapshot import FileState, Snapshot, Unknown
from bramble.system import fstab
from bramble.system.parse import Disk

BY_ID = "/dev/disk/by-id"
LINKS = (f"{BY_ID}/*", "/dev/disk/by-path/*")
_KINDS = ("usb-", "nvme-", "ata-", "scsi-", "virtio-", "mmc-", "wwn-")


def names(look: Snapshot) -> dict[str, tuple[str, ...]]:
    """Return the names below /dev/disk/by-id of each device's path, the most specific first."""
    found: dict[str, list[str]] = {}
    for path, device in _links(look).items():
        if path.startswith(f"{BY_ID}/"):
            found.setdefault(device, []).append(path.removeprefix(f"{BY_ID}/"))
    return {device: tuple(sorted(several, key=_telling)) for device, several in found.items()}


def _telling(name: str) -> tuple[bool, int, str]:
    kind = next((place for place, kind in enumerate(_KINDS) if name.startswith(kind)), len(_KINDS))
    return (name.startswith(("nvme-eui.", "nvme-nvme.")), kind, name)


def _links(look: Snapshot) -> dict[str, str]:
    """Return the device of each link below /dev/disk."""
    files = {} if isinstance(look.files, Unknown) else look.files
    return {
        path: "/dev/" + seen.target.rpartition("/")[2]
        for path, seen in files.items()
        if path.startswith("/dev/disk/") and isinstance(seen, FileState) and seen.target
    }


@dataclass(frozen=True)
class There:
    """The disks of a look, and what the links below /dev/disk stand for."""

    disks: tuple[Disk, ...]
    links: Mapping[str, str]
    named: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, look: Snapshot) -> There:
        """Return all disks, but in a container only those with a name: the others are its host's."""
        disks = () if isinstance(look.disks, Unknown) else look.disks
        named, inside = names(look), isinstance(container.container(look), str)
        kept = tuple(disk for disk in disks if named.get(disk.path) or not inside)
        return cls(kept, _links(look), named)

    def names(self, disk: Disk) -> tuple[str, ...]:
        """Return a disk's names, the most specific first; none where it has none."""
        return self.named.get(disk.path, ())

    def name(self, disk: Disk) -> str:
        """Return a disk's first name; its path only where it has none."""
        return next(iter(self.names(disk)), disk.path)

    def find(self, source: str) -> list[tuple[Disk, Disk]]:
        """Return each volume that a source stands for, with its disk."""
        found = {
            volume.path: (disk, volume)
            for disk in self.disks
            for volume in tree(disk)
            if self.is_named(volume, source)
        }
        return list(found.values())

    def is_named(self, volume: Disk, source: str) -> bool:
        """Tell whether a source of fstab stands for a volume."""
        named = fstab.tag(source)
        if named is None:
            return volume.path in (source, self.links.get(source))
        kind, value = named
        if kind in ("UUID", "PARTUUID"):
            seen = volume.uuid if kind == "UUID" else volume.partuuid
            return (seen or "").lower() == value.lower()
        return value == (volume.label if kind == "LABEL" else volume.partlabel)

    def twin(self, disk: Disk) -> str | None:
        """Return what else a disk's names may stand for at another time; None where they are its own.

        udev gives the links of one serial to one disk only, and to which one changes from boot to boot.
        """
        for name in self.names(disk):
            part = re.compile(rf"{re.escape(BY_ID)}/{re.escape(name)}-part\d+")
            for link, device in self.links.items():
                if part.fullmatch(link) and device not in paths(disk):
                    return f"{link.rpartition('/')[2]} is {device}, of another disk"
        for other in self.disks:
            if other.path != disk.path and self._is_like(disk, other):
                return f"{other.path} has the same model and serial"
        return None

    def _is_like(self, disk: Disk, other: Disk) -> bool:
        if (disk.kind, disk.transport, disk.model) != (other.kind, other.transport, other.model):
            return False
        nameless = not self.names(disk) or not self.names(other)
        return (
            other.size_bytes > 0 and disk.serial == other.serial and bool(disk.serial or nameless)
        )


def tree(disk: Disk) -> Iterator[Disk]:
    """Yield a disk and all within it: partitions, and volumes of LVM, RAID and encryption."""
    yield disk
    for part in disk.parts:
        yield from tree(part)


def paths(disk: Disk) -> tuple[str, ...]:
    """Return the paths of a disk and of all within it."""
    return tuple(volume.path for volume in tree(disk))


def written(source: str) -> str:
    """Return a name of the settings as fstab would write it."""
    is_name = "/" not in source and fstab.tag(source) is None
    return f"{BY_ID}/{source}" if is_name else source


def is_of_a_disk(entry: fstab.Entry) -> bool:
    """Tell whether an entry mounts a disk: no network file system, tmpfs or bind mount."""
    bound = {"bind", "rbind"} & set(entry.options)
    return not bound and (fstab.tag(entry.source) is not None or entry.source.startswith("/dev/"))
