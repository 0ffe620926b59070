"""A connection to each host, side by side: what comes is put on one queue, and nobody waits."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bramble import remote
from bramble.sanitize import sentence
from bramble.ssh import stream
from bramble.ssh.client import PROBLEMS, SshError, connect
from bramble.status.known import SILENT_S, Known
from bramble.status.pauses import Pauses
from bramble.status.said import Said, said
from bramble.status.wanted import Wanted

LIMIT_S = SILENT_S
"""By when a host is told in any case."""


@dataclass(frozen=True)
class Event:
    """A host's line, or why its connection ended."""

    host: str
    at_s: float
    said: Said | None = None
    problem: str = ""

    def applied(self, known: Known) -> Known:
        """Return what is known of the host after it."""
        return known.heard(self.said, self.at_s) if self.said else known.ended(self.problem)


Put = Callable[[Event], object]


def listen(
    host: Wanted, put: Put, *, once: bool, begun: Callable[[], object] = time.monotonic
) -> None:
    """Connect to a host and put each of its lines, and at the end why there are no more."""
    program = remote.program("live", host.query(once=once))
    try:
        with connect(host.host, host.ssh) as client:
            begun()
            for line in stream.lines(client, program):
                put(Event(host.host, time.monotonic(), said(line)))
        problem = "the connection ended"
    except SshError as error:
        problem = str(error).removeprefix(f"{host.host} cannot be reached: ")
    except stream.StreamError as error:
        problem = str(error)
    except ValueError as error:
        problem = f"what it says cannot be read: {error}"
    except TimeoutError:
        problem = f"nothing was heard of it for {stream.SILENT_S} s"
    except PROBLEMS as error:
        problem = f"the connection ended: {str(error) or type(error).__name__}"
    put(Event(host.host, time.monotonic(), problem=sentence(problem)))


def follow(host: Wanted, put: Put, over: threading.Event) -> None:
    """Listen to a host again and again, with growing pauses, until it is over."""
    pauses = Pauses()
    while not over.is_set():
        began_s = time.monotonic()
        listen(host, put, once=False, begun=lambda: pauses.begin(time.monotonic()))
        now_s = time.monotonic()
        over.wait(pauses.after(now_s, now_s - began_s))


class Fleet:
    """What is known of several hosts, as their lines come."""

    def __init__(self, hosts: Sequence[Wanted], now_s: float) -> None:
        self.hosts = {host.host: host for host in hosts}
        self.known = {host.host: Known(now_s) for host in hosts}
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._over = threading.Event()

    def follow(self) -> None:
        """Begin to listen to all of them."""
        for host in self.hosts.values():
            self._start(follow, host, self._events.put, self._over)

    def ask(self, limit_s: float = LIMIT_S) -> None:
        """Ask each of them once; return when all have answered, or the time is over."""
        for host in self.hosts.values():
            self._start(_ask, host, self._events.put)
        waiting, until_s = set(self.hosts), time.monotonic() + limit_s
        while waiting and (left_s := until_s - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left_s)
            except queue.Empty:
                break
            self._take(event)
            waiting.discard(event.host)

    def take_up(self) -> None:
        """Take up all that came since the last time."""
        while True:
            try:
                self._take(self._events.get_nowait())
            except queue.Empty:
                return

    def end(self) -> None:
        """Begin no further connection; those that there are end with this program."""
        self._over.set()

    def _take(self, event: Event) -> None:
        self.known[event.host] = event.applied(self.known[event.host])

    def _start(self, work: Callable[..., None], *words: Any) -> None:
        threading.Thread(target=work, args=words, daemon=True).start()


def _ask(host: Wanted, put: Put) -> None:
    """Put a host's only line, or why there is none."""
    events: list[Event] = []
    listen(host, events.append, once=True)
    put(next((event for event in events if event.said), events[-1]))
