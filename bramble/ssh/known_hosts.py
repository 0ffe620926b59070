"""OpenSSH's known_hosts, as far as a fleet's commands need it: read and replace the keys of a name.

A line is `[@marker] NAMES KEYTYPE KEY [comment]`; NAMES are separated by commas, or one hashed name.
The formats are those of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import atexit
import base64
import binascii
import hashlib
import hmac
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bramble import durable

REVOKED = "@revoked"
KINDS = ("ssh-ed25519", "ssh-rsa", *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)))
"""The types of host keys that paramiko can verify."""


@dataclass(frozen=True)
class Line:
    """One line that names a key."""

    marker: str
    names: tuple[str, ...]
    kind: str
    key: str

    def names_it(self, name: str) -> bool:
        """Return whether the line names a host, plain or hashed; as in pyinfra, no patterns."""
        return any(_is(written, name) for written in self.names)


def read(text: str) -> Line | None:
    """Parse a line; return None for a comment or anything else that holds no key."""
    words = text.split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#"):
        return None
    return Line(marker, tuple(words[0].split(",")), words[1], words[2])


def _is(written: str, name: str) -> bool:
    if not written.startswith("|1|"):
        return written == name
    salt, _, digest = written.removeprefix("|1|").partition("|")
    try:
        made = hmac.digest(base64.b64decode(salt), name.encode(), hashlib.sha1)
        return hmac.compare_digest(made, base64.b64decode(digest))
    except (binascii.Error, ValueError):
        return False


def keys(file: Path, name: str) -> dict[str, str]:
    """Return the trusted keys of a name by type; of several of one type the first, as pyinfra does."""
    found: dict[str, str] = {}
    for line in trusted(file):
        if line.names_it(name):
            found.setdefault(line.kind, line.key)
    return found


def trusted(file: Path) -> list[Line]:
    """Return the lines by which a host is trusted: without markers, revoked keys and damaged keys."""
    lines = [line for line in map(read, _lines(file)) if line is not None]
    revoked = {line.key for line in lines if line.marker == REVOKED}
    return [line for line in lines if not line.marker and line.key not in revoked and _is_key(line)]


def damaged(file: Path) -> list[int]:
    """Return the numbers of the lines that say something and name no key that can be read."""
    numbered = enumerate(_lines(file), 1)
    return [at for at, text in numbered if _says(text) and not _is_readable(read(text))]


def revoked(file: Path, key: str) -> bool:
    """Return whether the file marks a key as revoked."""
    return any(
        line.marker == REVOKED and line.key == key for line in filter(None, map(read, _lines(file)))
    )


def for_pyinfra(file: Path) -> Path:
    """Return the file, or a temporary copy without the lines that pyinfra cannot read.

    At a marker or a damaged key, the library that reads the file for pyinfra stops: hosts after it
    would be unknown. It does not honour @revoked either.
    """
    if len(trusted(file)) == sum(_says(line) for line in _lines(file)):
        return file
    descriptor, name = tempfile.mkstemp(prefix="bramble-known_hosts-")
    atexit.register(Path(name).unlink, missing_ok=True)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as copy:
        for line in trusted(file):
            copy.write(f"{','.join(line.names)} {line.kind} {line.key}\n")
    return Path(name)


def _says(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _is_readable(line: Line | None) -> bool:
    """Tell whether a line is as sshd(8) has it; keys of types that bramble does not use are such too."""
    return line is not None and (line.kind not in KINDS or _is_key(line))


def _is_key(line: Line) -> bool:
    try:
        return line.kind in KINDS and len(base64.b64decode(line.key, validate=True)) > 4
    except binascii.Error:
        return False


def put(file: Path, name: str, kind: str, key: str) -> None:
    """Write a key in place of all others of this name; leave all else as it is."""
    _write(file, [*_others(file, name), f"{name} {kind} {key}"])


def remove(file: Path, name: str) -> bool:
    """Take away every key of a name, and tell whether there was one; leave all else as it is."""
    others = _others(file, name)
    if others == _lines(file):
        return False
    _write(file, others)
    return True


def names_of(file: Path, key: str) -> list[str]:
    """Return the names that are trusted by this key, hashed ones as they are written."""
    return [name for line in trusted(file) if line.key == key for name in line.names]


def _others(file: Path, name: str) -> list[str]:
    return [text for line in _lines(file) if (text := _without(line, name)) is not None]


def _write(file: Path, lines: list[str]) -> None:
    # A link stays one: the file may be kept elsewhere.
    place = file.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    durable.replace(place, text.encode("utf-8", "surrogateescape"))


def _lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def _without(text: str, name: str) -> str | None:
    """Return a line without one of its names; None where it has no other."""
    line = read(text)
    if line is None or line.marker or not line.names_it(name):
        return text
    others = [written for written in line.names if not _is(written, name)]
    return f"{','.join(others)} {text.split(maxsplit=1)[1]}" if others else None
