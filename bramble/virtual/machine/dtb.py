"""The device tree that a machine boots with: QEMU's own, with a Pi's properties written over it."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from bramble.virtual import devicetree
from bramble.virtual.boards import Board
from bramble.virtual.commands import run
from bramble.virtual.machine import qemu

QEMUS_OWN = "linux,dummy-virt"
"""The last name in `compatible`: what the hardware really is, for a kernel that looks for it."""


def properties(board: Board, serial: int, bootloader_version: str) -> dict[str, bytes]:
    """Return what a Pi's tree holds, by path; the machine's own name comes last."""
    found = devicetree.properties(board, serial, bootloader_version)
    return {**found, "compatible": found["compatible"] + devicetree.text(QEMUS_OWN)}


def commands(tree: Mapping[str, bytes], file: Path) -> Iterator[list[str]]:
    """Yield one fdtput call for each property, byte for byte, with the nodes that are missing."""
    for path, content in tree.items():
        place = PurePosixPath("/", path)
        octets = [f"{octet:x}" for octet in content]
        yield ["fdtput", "-p", "-t", "bx", str(file), str(place.parent), place.name, *octets]


def write(tree: Mapping[str, bytes], board: Board, file: Path) -> None:
    """Have QEMU write the tree of its machine, then make it that of a Pi."""
    run(*qemu.dump_command(board, file))
    for command in commands(tree, file):
        run(*command)
