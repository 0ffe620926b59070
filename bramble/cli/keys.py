"""Single keys of a terminal, named; while they are read the terminal echoes none of them."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x1b": "escape",
}
_LONGEST = max(map(len, _SEQUENCES))


@contextmanager
def read_singly() -> Iterator[None]:
    """Have the terminal hand over each key as it is pressed; as it was before at the end."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def pressed(timeout_s: float) -> list[str]:
    """Return the keys that were pressed, after the first one at once; none at the end of the time."""
    if not select.select([sys.stdin], [], [], max(timeout_s, 0))[0]:
        return []
    data = os.read(sys.stdin.fileno(), 1024)
    # The terminal is gone.
    return list(names(data)) if data else ["q"]


def names(data: bytes) -> Iterator[str]:
    """Yield the names of the keys that these bytes are; of an unknown sequence nothing."""
    while data:
        size = next((n for n in range(_LONGEST, 0, -1) if data[:n] in _SEQUENCES), 0)
        if data[:2] in (b"\x1b[", b"\x1bO") and size < 2:
            data = _after_unknown(data)
            continue
        if size:
            yield _SEQUENCES[data[:size]]
        elif data[:1].isascii() and data[:1].decode("ascii").isprintable():
            yield data[:1].decode("ascii")
        data = data[max(size, 1) :]


def _after_unknown(data: bytes) -> bytes:
    """Return what follows a sequence that no key here has: it ends with a letter or a tilde."""
    for at, byte in enumerate(data[2:], 3):
        if 0x40 <= byte <= 0x7E:
            return data[at:]
    return b""
