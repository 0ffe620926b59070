"""Make the files of new nodes; the nodes that are there already stay as they are."""

from collections.abc import Sequence
from pathlib import Path

from bramble.virtual import boards, faults, identity, releases, spec
from bramble.virtual.backend import Backend, Desired, Progress
from bramble.virtual.errors import VirtualPiError


def check(desired: Desired) -> None:
    """Refuse a board, a fault or a release that is not known."""
    boards.board(desired.board)
    releases.check(desired.release)
    if desired.fault:
        faults.check(desired.board, desired.fault)


def release_of(asked: str | None, clone_of: str | None) -> str:
    """Return the release of new nodes: the one asked for, of a clone that of its source."""
    if clone_of is None:
        return asked or releases.DEFAULT
    source = spec.load(clone_of).release
    if asked not in (None, source):
        raise VirtualPiError(
            f"{clone_of} is of {source}, and so are its clones: leave out --release {asked}"
        )
    return source


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
