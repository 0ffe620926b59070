"""The Debian releases that a virtual Pi can be of, and the recipe of each."""

from collections.abc import Iterator
from pathlib import Path

from bramble.virtual.errors import VirtualPiError

DEFAULT = "bookworm"
SHARED = Path(__file__).parent / "rootfs"
"""What makes a fresh node of either release; all of Bookworm's recipe."""

_MORE = {"bookworm": (), "trixie": (Path(__file__).parent / "trixie",)}
RELEASES = tuple(_MORE)


def check(release: str) -> None:
    """Raise VirtualPiError for a release that virtual Pis cannot be of."""
    if release not in RELEASES:
        raise VirtualPiError(f"release {release!r} is not known: allowed are {', '.join(RELEASES)}")


def more(release: str) -> tuple[Path, ...]:
    """Return the folders that go over the shared one, in turn."""
    return _MORE[release]


def packages(release: str) -> Iterator[str]:
    """Yield the packages that make a fresh node."""
    for recipe in (SHARED, *more(release)):
        yield from lines_of(recipe / "packages.txt")


def lines_of(file: Path) -> tuple[str, ...]:
    """Return a list in a file, one item to a line, without its comments."""
    lines = file.read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
