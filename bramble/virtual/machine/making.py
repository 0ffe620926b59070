"""Makes the files of new machines; those that are there already stay as they are."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bramble.virtual import identity, layers, making, spec
from bramble.virtual.commands import run
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.machine import image, qemu


def check(desired: making.Desired) -> None:
    """Refuses what only containers can."""
    if desired.clone_of:
        raise VirtualPiError("a machine cannot be a clone: --clone is for containers, vpi-N")
    if not desired.ccache:
        raise VirtualPiError(
            "a machine has no compiler cache: --no-ccache is for containers, vpi-N"
        )


def make_new(
    names: Sequence[str], desired: making.Desired, base: Path, on_progress: Callable[[str], None]
) -> None:
    """Makes those of the machines that do not exist."""
    for name in names:
        if making.usable(name, on_progress):
            making.tell_of_other(spec.load(name), desired, on_progress)
        else:
            _make(name, desired, base)
    identity.write_known_hosts()


def _make(name: str, desired: making.Desired, base: Path) -> None:
    """Its host key, its copy of the boot card and a blank SSD; the rest at its first power-on."""
    node = spec.Spec(name, desired.board, desired.fault, (str(base),), ccache=False)
    layers.discard(node.folder)
    node.folder.mkdir(parents=True)
    node.folder.chmod(0o700)
    identity.ensure_host_key(node)
    files = qemu.files_of(node)
    run("cp", "--sparse=always", "--reflink=auto", str(base / image.DISK), str(files.boot_card))
    run(*qemu.ssd_command(files.ssd))
    node.save()
