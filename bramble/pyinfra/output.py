"""What a command says on both of its outputs, as it arrives and within its limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from paramiko import Channel
from pyinfra.api.output import echo, format_text
from pyinfra.connectors.util import OutputLine

from bramble.pyinfra.boundary import Overdue, Problem, attempt
from bramble.remote import outcome
from bramble.sanitize import sanitize, sentence

LARGEST_ANSWER = 32 * 2**20
MOST_LINES = 100_000
"""Bytes and lines that a command may print: more is no answer to anything that is asked."""


class Said:
    """What a command says on both of its outputs, line by line as it arrives.

    With a `prefix` its lines are shown, each as `told` puts it.
    """

    def __init__(self, prefix: str | None, told: Callable[[str], str]) -> None:
        self.lines: list[OutputLine] = []
        self._prefix = prefix
        self._told = told
        self._size = 0
        self._heard_at_s = time.monotonic()

    def read(
        self,
        channel: Channel,
        limit_s: float | None,
        silence_s: float | None,
        early: Mapping[str, bytes],
    ) -> None:
        """Read until both outputs end, or one must not go on; TimeoutError after a limit.

        `early` is what was read of them already, by their names.
        """
        began_s = self._heard_at_s
        left = readers = [
            gevent.spawn(attempt, lambda: self._listen("stdout", channel.recv, early)),
            gevent.spawn(attempt, lambda: self._listen("stderr", channel.recv_stderr, early)),
        ]
        try:
            while left and not _problem(readers):
                left_s = _left(began_s, limit_s, "it took longer than")
                last = f" after {self.lines[-1].line!r}" if self.lines else ""
                silent_s = _left(self._heard_at_s, silence_s, f"it said nothing{last} for")
                gevent.joinall(left, min(left_s, silent_s), count=1)
                left = [reader for reader in left if not reader.ready()]
        finally:
            gevent.killall(readers, block=False)
        if problem := _problem(readers):
            raise OSError(problem.why)

    def shown(self) -> list[OutputLine]:
        """Return the lines as they may be printed."""
        return [OutputLine(line.buffer_name, sanitize(line.line, "\t")) for line in self.lines]

    def _listen(
        self, name: str, receive: Callable[[int], bytes], early: Mapping[str, bytes]
    ) -> None:
        begun: list[bytes] = []
        data = early.get(name) or receive(2**16)
        while data:
            self._heard_at_s = time.monotonic()
            self._size += len(data)
            if self._size > LARGEST_ANSWER:
                raise OSError(f"it printed more than {LARGEST_ANSWER >> 20} MiB")
            first, *others = data.split(b"\n")
            begun.append(first)
            for other in others:
                self._say(name, b"".join(begun))
                begun = [other]
            data = receive(2**16)
        if rest := b"".join(begun):
            self._say(name, rest)

    def _say(self, name: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        self.lines.append(OutputLine(name, text))
        if len(self.lines) > MOST_LINES:
            raise OSError(f"it printed more than {MOST_LINES} lines")
        if self._prefix is not None and not text.startswith(outcome.PREFIX):
            shown = sentence(self._told(text))
            echo(
                f"{self._prefix}{format_text(shown, 'red') if name == 'stderr' else shown}",
                err=True,
            )


def _problem(readers: list[Any]) -> Problem | None:
    return next((each.value for each in readers if isinstance(each.value, Problem)), None)


def _left(since_s: float, limit_s: float | None, complaint: str) -> float:
    """Return the remaining seconds of a limit (at most a minute); raise TimeoutError when none are."""
    if limit_s is None:
        return 60
    left_s = since_s + limit_s - time.monotonic()
    if left_s <= 0:
        raise Overdue(f"{complaint} {limit_s:.0f} s")
    return min(left_s, 60)
