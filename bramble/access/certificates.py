"""The certificates of hosts: `tls/HOST.pem` beside an inventory, with its key, and `tls/ca.crt`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FOLDER = "tls"
AUTHORITY, AUTHORITY_KEY = "ca.crt", "ca.key"


def file_of(folder: Path, host: str) -> Path:
    """Return the file of a host's certificate and key, of the inventory in a folder."""
    return folder / FOLDER / f"{host}.pem"


def files(folder: Path) -> tuple[Path, ...]:
    """Return the files that there are."""
    place = folder / FOLDER
    return (place / AUTHORITY, *sorted(place.glob("*.pem")))


def read(folder: Path) -> tuple[Mapping[str, str], str | None]:
    """Return the texts by host, and the authority's certificate; what cannot be read is left out."""
    found: dict[str, str] = {}
    for file in files(folder):
        with suppress(OSError, UnicodeDecodeError):
            found[file.name] = file.read_text(encoding="ascii")
    authority = found.pop(AUTHORITY, None)
    return {name.removesuffix(".pem"): text for name, text in found.items()}, authority
