"""Write first-boot files to a card's boot volume: each is the whole old one or the whole new one.

What somebody else wrote there is replaced only on request. FAT has no journal, so each file goes the way
that nodes' boot files go.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from bramble.firstboot import cloud_init
from bramble.firstboot.volume import CMDLINE, CUSTOM_TOML, Volume, VolumeError
from bramble.remote import atomic

# For what a folder's entries and a file's last cluster take besides.
_SPARE_BYTES = 256 << 10


def changed(volume: Volume, files: Mapping[str, str]) -> list[str]:
    """Name the files that are not on the volume as they are to be."""
    return [name for name, text in files.items() if volume.text(name) != text]


def foreign(volume: Volume, names: Iterable[str]) -> list[str]:
    """Name those of the files in whose place something is that did not come with the image."""
    return [name for name in names if _is_foreign(volume, name)]


def _is_foreign(volume: Volume, name: str) -> bool:
    text = volume.text(name)
    if text is None:
        return False
    if name == CMDLINE:
        return cloud_init.is_customised(text)
    return name == CUSTOM_TOML or not cloud_init.is_stock(name, text)


def write(volume: Volume, files: Mapping[str, str], names: Iterable[str]) -> None:
    """Write the named files in their order; raise VolumeError where the card does not take them."""
    meant = [name for name in files if name in {*names}]
    _see_room(volume.folder, sum(len(files[name].encode()) for name in meant))
    for name in meant:
        file = volume.folder.absolute() / name
        try:
            atomic.write(str(file), files[name])
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise VolumeError(
                f"{file} was not written: {why}; see that the volume is mounted for writing and "
                "the card's lock is off, and run again"
            ) from error


def _see_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise VolumeError(
            f"{folder} has {free >> 10} KiB free, and {needed + _SPARE_BYTES >> 10} KiB are "
            "needed: a card that was just flashed has more; nothing was written"
        )
