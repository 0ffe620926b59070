"""Make the files of new containers."""

import os
from collections.abc import Sequence
from pathlib import Path

from bramble.virtual import faults, identity, layers, paths, spec
from bramble.virtual.backend import Desired
from bramble.virtual.container import clones, network
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.model import kind_of


def check(desired: Desired) -> None:
    """Refuse a clone of what cannot be cloned."""
    if desired.clone_of and kind_of(desired.clone_of) == "machine":
        raise VirtualPiError(
            f"{desired.clone_of} is a machine, and only containers can be cloned: name a vpi-N"
        )


def make(names: Sequence[str], desired: Desired, base: Path) -> None:
    """Make new containers; clones share one frozen copy of their source."""
    frozen = clones.freeze(desired.clone_of) if desired.clone_of and names else None
    for name in names:
        _make(name, desired, frozen, base)


def _make(name: str, desired: Desired, frozen: clones.Frozen | None, base: Path) -> None:
    below = frozen.layers if frozen else (str(base),)
    node = spec.Spec(name, desired.board, desired.fault, below, desired.ccache, desired.release)
    layers.discard(node.folder)
    upper = layers.Upper(node.upper, [Path(layer) for layer in below])
    # In it are set-user-id programs and keys of another system: nothing for the host's users.
    node.folder.chmod(0o700)
    identity.write(node, upper, network.PROXY.url)
    faults.install(upper, desired.board, desired.fault)
    if frozen:
        frozen.copy_disk_to(node)
    node.save()


def ensure_ccache() -> None:
    """Ensure the compiler cache that nodes share is there; it is root's, and nobody else writes."""
    folder = paths.ccache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, 0, 0)
    folder.chmod(0o755)
