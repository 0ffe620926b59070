"""Public keys as sshd takes them, one a line: read from files, and told to be whole."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)),
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_MOST_BYTES = 1 << 16


class KeyFileError(Exception):
    """A file without a public key; the text says where, and nothing of what is in it."""


def problem(line: str) -> str | None:
    """Say what is wrong with a public key, without repeating it; None where nothing is."""
    if not line.isprintable():
        return "it is not one line of text"
    words = line.split()
    at = next((at for at, word in enumerate(words) if word in KINDS), None)
    if at is None:
        return f"none of its words is a type of key (such as {KINDS[0]})"
    try:
        blob = base64.b64decode(words[at + 1] if len(words) > at + 1 else "", validate=True)
    except binascii.Error:
        return "it is cut off: what follows its type is not base64"
    parts = _strings(blob)
    if parts is None or len(parts) < 2:
        return "it is cut off: what follows its type ends too early"
    if parts[0] != words[at].encode():
        return "it is damaged: what follows its type is of no key of that type"
    return None


def _strings(blob: bytes) -> list[bytes] | None:
    """Return the strings that a key consists of, each after its length; None where one is cut off."""
    found = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            return None
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return found


def read(file: Path) -> list[str]:
    """Return the keys of a file of public ones; raise KeyFileError where there is none."""
    try:
        text = file.read_bytes()[:_MOST_BYTES].decode("utf-8")
    except OSError as error:
        raise KeyFileError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{file} is no public key: it is no text") from error
    if "PRIVATE KEY" in text:
        raise KeyFileError(f"{file} is a private key, which stays here: name its .pub")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    for line in found:
        if why := problem(line):
            raise KeyFileError(f"{file} has a line that is no public key: {why}")
    if not found:
        raise KeyFileError(f"{file} has no public key in it")
    return found
