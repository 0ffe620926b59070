"""The releases of Debian that nodes may have: what of each of them plans depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A release of Debian, and of Raspberry Pi OS, which has the same codename.

    `versions` begin those of the packages that an upgrade brings: their presence tells how far it came.
    `libraries` are the newest symbol versions of the C and C++ libraries. `has_log2ram` tells whether
    log2ram is in Debian's own archive. `zram_algorithm` is one that its kernels have, as
    far as they are known.
    """

    codename: str
    name: str
    versions: Mapping[str, str]
    libraries: Mapping[str, str]
    has_log2ram: bool
    zram_algorithm: str


BOOKWORM = Release(
    codename="bookworm",
    name="Bookworm",
    versions={"libc6": "2.36", "apt": "2.6", "systemd": "252"},
    libraries={"GLIBC": "2.36", "GLIBCXX": "3.4.30"},
    has_log2ram=False,
    zram_algorithm="lzo-rle",
)
TRIXIE = Release(
    codename="trixie",
    name="Trixie",
    versions={"libc6": "2.41", "apt": "3.0", "systemd": "257"},
    libraries={"GLIBC": "2.41", "GLIBCXX": "3.4.33"},
    has_log2ram=True,
    # Debian's own 6.12 has no lzo-rle; Raspberry Pi's has both, and rpi-swap takes zstd.
    zram_algorithm="zstd",
)
RELEASES = {release.codename: release for release in (BOOKWORM, TRIXIE)}
"""The releases that bramble knows, by codename, the oldest first."""
MARKERS = tuple(BOOKWORM.versions)
"""The packages whose versions tell a release from the others."""


def foreign(codename: str, versions: Mapping[str, str | None]) -> tuple[str, ...]:
    """Describe each package that has the version of another known release than `codename`.

    A version of no known release, such as a backport's, is none of another one.
    """
    return tuple(
        f"{package} {version} is of {release.codename}"
        for release in RELEASES.values()
        if release.codename != codename
        for package, start in release.versions.items()
        if (version := versions.get(package)) and begins(version, start)
    )


def begins(version: str, start: str) -> bool:
    """Tell whether a Debian version, without its epoch, is `start` or continues it."""
    upstream = version.partition(":")[2] or version
    return upstream.startswith(start) and not upstream[len(start) :][:1].isdigit()
