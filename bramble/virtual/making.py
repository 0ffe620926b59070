"""Make the files of new nodes; the nodes that are there already stay as they are."""

from collections.abc import Sequence
from pathlib import Path

from bramble.virtual import boards, doubles, identity, spec
from bramble.virtual.backend import Backend, Desired, Progress


def check(desired: Desired) -> None:
    """Refuse a board or a fault that nobody recorded."""
    boards.board(desired.board)
    if desired.fault:
        doubles.check_fault(desired.board, desired.fault)


def make_new(
    backend: Backend, names: Sequence[str], desired: Desired, image: Path, on_progress: Progress
) -> None:
    """Make those of the nodes that do not exist."""
    new = [name for name in names if not usable(name, on_progress)]
    for name in names:
        if name not in new:
            report_difference(spec.load(name), desired, on_progress)
    backend.make(new, desired, image)
    identity.write_known_hosts()


def usable(name: str, on_progress: Progress) -> bool:
    """Return whether a node exists whole: its files, and the layers below them."""
    found = spec.find(name)
    if found is None:
        return False
    lost = [layer for layer in found.layers if not Path(layer).is_dir()]
    if lost and not found.running():
        on_progress(f"{name} is made again: {lost[0]}, which its files stand on, is gone")
    return not lost or found.running() is not None


def report_difference(node: spec.Spec, desired: Desired, on_progress: Progress) -> None:
    """Say that a node stays as it is where that is not what was asked for."""
    if (node.board, node.fault) != (desired.board, desired.fault):
        made = f"a {node.board} with {node.fault or 'no'} fault"
        on_progress(f"{node.name} stays as it was made: {made}; 'down' it to make another")
