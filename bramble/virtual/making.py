"""Makes the files of new nodes; the nodes that are there already stay as they are."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bramble.virtual import boards, clones, doubles, identity, layers, paths, spec
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.model import kind_of


@dataclass(frozen=True)
class Desired:
    """What new nodes shall be."""

    board: str
    fault: str | None
    clone_of: str | None
    ccache: bool

    def check(self) -> None:
        """Refuses what no node can be."""
        boards.board(self.board)
        if self.fault:
            doubles.check_fault(self.board, self.fault)
        if self.clone_of and kind_of(self.clone_of) == "machine":
            raise VirtualPiError(
                f"{self.clone_of} is a machine, and only containers can be cloned: name a vpi-N"
            )


def make_new(
    names: Sequence[str], desired: Desired, base: Path, on_progress: Callable[[str], None]
) -> None:
    """Makes those of the nodes that do not exist; clones share one frozen copy of their source."""
    new = [name for name in names if not usable(name, on_progress)]
    frozen = clones.freeze(desired.clone_of) if desired.clone_of and new else None
    for name in names:
        if name in new:
            _make(name, desired, frozen, base)
        else:
            tell_of_other(spec.load(name), desired, on_progress)
    identity.write_known_hosts()


def _make(name: str, desired: Desired, frozen: clones.Frozen | None, base: Path) -> None:
    below = frozen.layers if frozen else (str(base),)
    node = spec.Spec(name, desired.board, desired.fault, below, desired.ccache)
    layers.discard(node.folder)
    upper = layers.Upper(node.upper, [Path(layer) for layer in below])
    # In it are set-user-id programs and keys of another system: nothing for the host's users.
    node.folder.chmod(0o700)
    identity.write(node, upper)
    doubles.install(upper, desired.board, desired.fault)
    if frozen:
        frozen.copy_disk_to(node)
    node.save()


def usable(name: str, on_progress: Callable[[str], None]) -> bool:
    """Whether a node exists whole; a half-made one, or one whose layers went, is made anew."""
    found = spec.find(name)
    if found is None:
        return False
    lost = [layer for layer in found.layers if not Path(layer).is_dir()]
    if lost and not found.running():
        on_progress(f"{name} is made anew: {lost[0]}, which its files stand on, is gone")
    return not lost or found.running() is not None


def tell_of_other(node: spec.Spec, desired: Desired, on_progress: Callable[[str], None]) -> None:
    """A node that was there keeps its make; says so where it is not the wanted one."""
    if (node.board, node.fault) != (desired.board, desired.fault):
        made = f"a {node.board} with {node.fault or 'no'} fault"
        on_progress(f"{node.name} stays as it was made: {made}; 'down' it to make another")


def ensure_ccache() -> None:
    """The compiler cache that nodes share; root builds there, and takes it from nobody else."""
    folder = paths.ccache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, 0, 0)
    folder.chmod(0o755)
