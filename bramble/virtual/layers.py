"""The files of a node: read-only layers, and an upper folder that takes what the node writes."""

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class Upper:
    """Write single files into an upper folder that is not mounted.

    A folder made here hides mode and owner of the one below it, so these are copied.
    """

    def __init__(self, upper: Path, layers: Sequence[Path]) -> None:
        self._upper = upper
        self._layers = layers
        upper.mkdir(parents=True, exist_ok=True)
        # The upper's own mode is that of the node's root folder.
        upper.chmod(0o755)

    def folder(self, path: str) -> Path:
        """Return a folder of the upper; make it first, like the one that it covers."""
        place = self._upper
        for part in Path(path).parts:
            place = place / part
            if place.is_dir():
                continue
            place.mkdir()
            place.chmod(0o755)
            covered = self._covered(place.relative_to(self._upper))
            if covered:
                status = covered.stat()
                os.chown(place, status.st_uid, status.st_gid)
                place.chmod(status.st_mode & 0o7777)
        return place

    def _covered(self, path: Path) -> Path | None:
        found = (layer / path for layer in self._layers)
        return next((place for place in found if place.is_dir()), None)

    def read(self, path: str) -> bytes:
        """Return a file as the node sees it."""
        found = (place / path for place in (self._upper, *self._layers))
        return next(file for file in found if file.is_file()).read_bytes()

    def remove(self, path: str) -> None:
        """Remove a file; over one in a layer goes the mark by which an overlay hides it."""
        file = self.folder(str(Path(path).parent)) / Path(path).name
        file.unlink(missing_ok=True)
        if any((layer / path).exists() for layer in self._layers):
            os.mknod(file, stat.S_IFCHR, os.makedev(0, 0))

    def write(
        self,
        path: str,
        content: bytes,
        *,
        mode: int = 0o644,
        owner: int = 0,
        group: int | None = None,
    ) -> None:
        """Write one whole file, owned by `owner` and, without a group, that of the same number."""
        file = self.folder(str(Path(path).parent)) / Path(path).name
        file.unlink(missing_ok=True)
        file.write_bytes(content)
        os.chown(file, owner, owner if group is None else group)
        file.chmod(mode)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link, in place of what is there."""
        link = self.folder(str(Path(path).parent)) / Path(path).name
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def discard(folder: Path) -> None:
    """Remove a tree that nothing has mounted."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
