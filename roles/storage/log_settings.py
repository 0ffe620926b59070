"""Settings of where logs go: the journal, and log2ram with its repository."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bramble.settings import LocalPath, Section, option

Log2ram = Literal["auto", "on", "off"]
LogFolder = Annotated[
    str, Field(pattern=r"^/(var|srv|opt|home|mnt|media)(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$")
]

# Nowhere published by its owner; read off the key by three who have nothing to do with each other
# (docs/roles/storage.md names them).
AZLUX = "98B824A5FA7D3A10FDB225B7CA548A0A0312D8E6"
JOURNALS_SHARE = 2
"""A persistent journal may fill this part of log2ram's memory: its half."""


class Journal(Section):
    """systemd's journal."""

    storage: Literal["volatile", "persistent"] = option(
        "volatile",
        help="`volatile`: in memory, which wears no card and is gone after a reset; `persistent`: in "
        "/var/log/journal, where it also tells what was before a crash.",
    )
    cap_mib: int = option(
        64, help="What the journal takes at most, wherever it is.", unit="MiB", ge=16, le=4096
    )


class Repository(Section):
    """The apt repository that Bookworm gets log2ram from; Debian has it from Trixie on."""

    sent: ClassVar[tuple[str, ...]] = ("key_file",)

    url: str = option(
        "http://packages.azlux.fr/debian",
        help="Its URL; apt proves by the key what comes from there. Nothing but log2ram is taken.",
        example="http://mirror.example.org/azlux",
        pattern=r"^(https?://([A-Za-z0-9._:-]+|\[[0-9A-Fa-f:.]+\]:?[0-9]*)|file:(//)?/)"
        r"[A-Za-z0-9._~/+@=,-]*$",
    )
    suite: str = option("bookworm", help="Its suite.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    component: str = option("main", help="Its component.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    key_url: str = option(
        "https://azlux.fr/repo.gpg",
        help="Where the node gets the key that signs it, unless `key_file` is given.",
        pattern=r"^https://\S+$",
    )
    key_file: LocalPath | None = option(
        None, help="The key as a file of this computer, binary or armoured.", example="azlux.gpg"
    )
    fingerprint: str = option(
        AZLUX,
        help="The key's whole fingerprint, without blanks; a file with another key is refused.",
        pattern=r"^[0-9A-F]{40}$",
    )


def too_small(log2ram: Log2ram, size_mib: int, journal: Journal) -> str | None:
    """Return why the journal does not fit into log2ram's memory; None when it does."""
    room_mib = size_mib // JOURNALS_SHARE
    if log2ram == "off" or journal.storage == "volatile" or journal.cap_mib <= room_mib:
        return None
    return (
        f"log2ram_size_mib is {size_mib}, of which a persistent journal may fill {room_mib} MiB, and "
        f"journal.cap_mib is {journal.cap_mib}: log2ram would not start. Set journal.cap_mib to "
        f"{room_mib} or less, or log2ram_size_mib to {journal.cap_mib * JOURNALS_SHARE} or more"
    )
