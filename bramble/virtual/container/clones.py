"""Frozen copies of a node: its files and its SSD at one moment, for the nodes cloned from it."""

import time
from dataclasses import dataclass
from pathlib import Path

from bramble.virtual import layers, paths, spec
from bramble.virtual.commands import run
from bramble.virtual.container import cgroups, ssd


@dataclass(frozen=True)
class Frozen:
    """One frozen copy, and the layers that its source stood on."""

    folder: Path
    below: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the layers of a clone: all clones share the copy of the files, read-only."""
        return (str(self.folder / "files"), *self.below)

    def copy_disk_to(self, clone: spec.Spec) -> None:
        """Give a clone an SSD of its own; only what was written on it takes time and space."""
        _copy_sparse(self.folder / ssd.IMAGE, clone.folder / ssd.IMAGE)


def freeze(source_name: str) -> Frozen:
    """Copy a node as it is now; if it runs, it is frozen meanwhile."""
    source = spec.load(source_name)
    target = paths.snapshots_dir() / f"{source_name}-{time.time_ns()}"
    partial = target.with_suffix(".partial")
    layers.discard(partial)
    partial.mkdir(parents=True)
    with cgroups.frozen(source_name):
        # What the node wrote to its SSD reaches the image.
        run("sync")
        # Whiteouts, owners and extended attributes are part of a layer.
        run("cp", "-a", "--reflink=auto", str(source.upper), str(partial / "files"))
        _copy_sparse(source.folder / ssd.IMAGE, partial / ssd.IMAGE)
    partial.rename(target)
    return Frozen(target, source.layers)


def _copy_sparse(source: Path, target: Path) -> None:
    ssd.ensure_image(source)
    run("cp", "--sparse=always", "--reflink=auto", str(source), str(target))


def discard_unused() -> None:
    """Remove the frozen copies that no node's layers name."""
    used = {Path(layer).parent for node in spec.all_specs() for layer in node.layers}
    for folder in paths.snapshots_dir().glob("*"):
        if folder not in used:
            layers.discard(folder)
