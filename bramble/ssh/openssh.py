"""Ed25519 keys as `ssh-keygen` writes them, told to be whole without paramiko, whose import is slow."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

_BEGIN, _END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
# Of the format (PROTOCOL.key of OpenSSH): one key, which no cipher hides.
_PLAIN = b"openssh-key-v1\0" + b"\0\0\0\4none" * 2 + b"\0\0\0\0" + b"\0\0\0\1"
_KIND = b"ssh-ed25519"
_MOST_BYTES = 4096


def is_whole(path: Path) -> bool:
    """Tell whether a file is such a key, not encrypted; False where only paramiko can tell."""
    if path.with_name(f"{path.name}-cert.pub").exists():
        return False
    try:
        lines = path.read_text(encoding="ascii").strip().splitlines()
        if lines[:1] + lines[-1:] != [_BEGIN, _END] or path.stat().st_size > _MOST_BYTES:
            return False
        return _holds_a_key(base64.b64decode("".join(lines[1:-1]), validate=True))
    except (OSError, ValueError):
        return False


def _holds_a_key(data: bytes) -> bool:
    """Tell whether both parts name the same key, and the private one was written to its end."""
    if not data.startswith(_PLAIN):
        return False
    public, private = list(_strings(data[len(_PLAIN) :], 2))
    kind, point = list(_strings(public, 2))
    checks, inner = (private[:4], private[4:8]), private[8:]
    again, same, secret, comment = list(_strings(inner, 4))
    padding = inner[16 + sum(map(len, (again, same, secret, comment))) :]
    return (
        checks[0] == checks[1]
        and kind == again == _KIND
        and point == same == secret[32:]
        and (len(point), len(secret)) == (32, 64)
        and padding == bytes(range(1, len(padding) + 1))
    )


def _strings(data: bytes, count: int) -> Iterator[bytes]:
    """Yield the first strings of data, each after its length; raise ValueError where one is cut off."""
    for _ in range(count):
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size:
            raise ValueError("a string is cut off")
        yield data[4 : 4 + size]
        data = data[4 + size :]
