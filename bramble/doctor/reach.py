"""Log in to hosts side by side, each told as soon as it is known, and none waited for beyond the limit.

It is the one way that commands connect by: the key of the host must be known, as in a deploy.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bramble.doctor.finding import Finding, ok, unknown, wrong
from bramble.sanitize import number
from bramble.settings import SshSettings
from bramble.ssh.client import PROBLEMS, SshError, connect

LIMIT_S = 30
_CLOCK = "date +%s"
_CLOCK_S = 10


@dataclass(frozen=True)
class Reached:
    """A host, whether it can be logged in to, and what was found."""

    host: str
    is_reached: bool
    findings: tuple[Finding, ...]


def reach(
    hosts: Mapping[str, SshSettings],
    tolerance_s: Callable[[str], int],
    limit_s: float = LIMIT_S,
) -> Iterator[Reached]:
    """Yield each host as it answers, and at the limit those that have not."""
    answers: queue.Queue[Reached] = queue.Queue()
    waiting = dict(hosts)
    for host, ssh in hosts.items():
        words = (host, ssh, tolerance_s(host), answers)
        threading.Thread(target=_look, args=words, daemon=True).start()
    end = time.monotonic() + limit_s
    while waiting:
        try:
            found = answers.get(timeout=max(end - time.monotonic(), 0))
        except queue.Empty:
            break
        del waiting[found.host]
        yield found
    for host, ssh in waiting.items():
        yield Reached(host, False, (_silent(host, ssh, limit_s),))


def _look(host: str, ssh: SshSettings, tolerance_s: int, answers: queue.Queue[Reached]) -> None:
    """Log in and read the clock; put what was found to the answers."""
    begun = time.monotonic()
    try:
        with connect(host, ssh) as client:
            took = f"logged in after {time.monotonic() - begun:.1f} s"
            found = (ok(host, "reachable", took), _clock(host, client, tolerance_s))
    except SshError as error:
        remedy = f"do what it says, then `bramble doctor {host}`"
        answers.put(Reached(host, False, (wrong(host, "reachable", str(error), remedy),)))
    except PROBLEMS as error:
        said = f"the connection ended: {str(error) or type(error).__name__}"
        remedy = f"run `bramble doctor {host}` again; look at its power and its network"
        answers.put(Reached(host, False, (wrong(host, "reachable", said, remedy),)))
    else:
        answers.put(Reached(host, True, found))


def _clock(host: str, client: Any, tolerance_s: int) -> Finding:
    """Compare the host's clock with this computer's, at the middle of the question's way and back."""
    before = time.time()
    _, stdout, _ = client.exec_command(_CLOCK, timeout=_CLOCK_S)
    said = stdout.read(100).decode("utf-8", "replace").strip()
    after = time.time()
    there = number(said)
    if there is None:
        return unknown(
            host,
            "clock",
            f"`{_CLOCK}` said {said[:40]!r} there",
            "look at the account's shell there",
        )
    # `date` cuts off the part of a second.
    off_s = there + 0.5 - (before + after) / 2
    if abs(off_s) <= tolerance_s + (after - before) / 2 + 1:
        return ok(host, "clock", f"at most {tolerance_s} s off this computer's")
    if off_s < 0:
        return wrong(
            host, "clock", f"{-off_s:.0f} s behind this computer's", f"`bramble up {host}` sets it"
        )
    return wrong(
        host,
        "clock",
        f"{off_s:.0f} s ahead of this computer's",
        "`sudo timedatectl set-ntp true` on this computer; where this one is right, the same on "
        "the host",
    )


def _silent(host: str, ssh: SshSettings, limit_s: float) -> Finding:
    found = f"no login within {limit_s:.0f} s at {ssh.address}"
    return wrong(
        host,
        "reachable",
        found,
        "see that it is on, not busy and on this network; `ssh -v` says more",
    )
