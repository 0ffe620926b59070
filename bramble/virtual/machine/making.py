"""Make the files of new machines."""

from collections.abc import Sequence
from pathlib import Path

from bramble.virtual import identity, layers, spec
from bramble.virtual.backend import Desired
from bramble.virtual.commands import run
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.machine import image, qemu


def check(desired: Desired) -> None:
    """Refuse what only containers can do."""
    if desired.clone_of:
        raise VirtualPiError("a machine cannot be a clone: --clone is for containers, vpi-N")
    if not desired.ccache:
        raise VirtualPiError(
            "a machine has no compiler cache: --no-ccache is for containers, vpi-N"
        )


def make(names: Sequence[str], desired: Desired, base: Path) -> None:
    """Make new machines."""
    for name in names:
        _make(name, desired, base)


def _make(name: str, desired: Desired, base: Path) -> None:
    """Make its host key, its copy of the boot card and a blank SSD; the rest at its first power-on."""
    node = spec.Spec(
        name, desired.board, desired.fault, (str(base),), ccache=False, release=desired.release
    )
    layers.discard(node.folder)
    node.folder.mkdir(parents=True)
    node.folder.chmod(0o700)
    identity.ensure_host_key(node)
    files = qemu.files_of(node)
    run("cp", "--sparse=always", "--reflink=auto", str(base / image.DISK), str(files.boot_card))
    run(*qemu.ssd_command(files.ssd))
    node.save()
