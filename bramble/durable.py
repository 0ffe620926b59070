"""Files of this computer that outlast its own power cut, written as those of nodes are."""

from __future__ import annotations

import stat
from pathlib import Path

from bramble.remote import atomic


def replace(file: Path, content: str | bytes) -> None:
    """Replace a file: readers see either all of the old one or all of the new one.

    It keeps its mode; a new one is for all to read.
    """
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o644
    atomic.write(str(file.absolute()), content, mode)


def rename(source: Path, target: Path) -> None:
    """Give a file its name once the disk has all of it."""
    atomic.sync(str(source))
    atomic.rename(str(source.absolute()), str(target.absolute()))
