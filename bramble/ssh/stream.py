"""One long-lived command of a host, whose lines are taken up as it prints them.

The program comes on the command's input, which stays open: a byte now and then tells it that somebody
listens. A host that is hostile or confused can neither fill the memory here nor keep this computer busy.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from bramble import remote

SILENT_S = 30
"""A program that prints a line each second and was not heard for this long is not there any more."""

BEAT_S = 15
LONGEST = 1 << 16
_OPEN_S = 15
# A computer that was asleep finds what the program printed until it noticed: a minute of lines.
_MOST_AT_ONCE, _MOST_PER_S = 120, 3


class StreamError(Exception):
    """A program that does not run there or prints what it should not; the text says what it said."""


def lines(client: Any, program: str) -> Iterator[str]:
    """Yield what a program prints, until it or the connection ends.

    Raise StreamError where it failed, TimeoutError where nothing was heard for SILENT_S.
    """
    channel = client.get_transport().open_session(timeout=_OPEN_S)
    with channel:
        channel.settimeout(SILENT_S)
        channel.exec_command(remote.reader(program))
        _send(channel, program.encode())
        yield from _split(_pieces(channel))
        # Without one (-1) it was the connection that ended.
        if (code := channel.recv_exit_status()) > 0:
            raise StreamError(_failure(channel, code))


def _pieces(channel: Any) -> Iterator[bytes]:
    """Yield bytes as they come, and tell the program now and then that they were read."""
    beaten_s = time.monotonic()
    while data := channel.recv(LONGEST):
        yield data
        if time.monotonic() - beaten_s > BEAT_S:
            _send(channel, b"\n")
            beaten_s = time.monotonic()


def _send(channel: Any, data: bytes) -> None:
    """Send bytes; why nobody takes them is told by what comes back."""
    with suppress(OSError, EOFError):
        channel.sendall(data)


def _split(pieces: Iterator[bytes]) -> Iterator[str]:
    """Yield whole lines; raise StreamError for more or longer ones than any program of ours prints."""
    rest, count, began_s = b"", 0, time.monotonic()
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        count += len(whole)
        most = _MOST_AT_ONCE + _MOST_PER_S * (time.monotonic() - began_s)
        if count > most or max(map(len, (rest, *whole))) > LONGEST:
            raise StreamError("it prints more than was asked for")
        yield from (line.decode(errors="replace") for line in whole)


def _failure(channel: Any, code: int) -> str:
    """Return why a program failed, in the last line of what it said."""
    said: str = channel.recv_stderr(4096).decode(errors="replace").strip()
    last = said.splitlines()[-1] if said else "it said nothing"
    return f"the program ended there with code {code}: {last}"
