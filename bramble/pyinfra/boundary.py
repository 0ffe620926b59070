"""The host boundary: whatever goes wrong for one host becomes a sentence, and stays with that host.

pyinfra re-raises an exception of one host's deploy code or of one host's operation for all hosts, so
everything that is done for a host goes through `attempt`, which is the one place that catches all.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import gevent
from paramiko import SSHException
from pyinfra.api.exceptions import ConnectError

T = TypeVar("T")

# What a connection, and what a file or a program at its other end, may end in.
EXPECTED = (OSError, EOFError, SSHException, ConnectError)


@dataclass(frozen=True)
class Problem:
    """Why something could not be done for a host; `details` are for those who debug bramble.

    `held_by` says which other run holds the host, and since when, where that is why.
    """

    why: str
    details: str | None = field(default=None, repr=False)
    held_by: Mapping[str, str] | None = None


class Overdue(TimeoutError):
    """Something was not done within its time."""


def attempt(work: Callable[[], T], limit_s: float | None = None) -> T | Problem:
    """Run `work` within `limit_s` seconds (None: it has its own limits); return a Problem on failure."""
    try:
        with gevent.Timeout(limit_s, Overdue(f"it took longer than {limit_s} s")):
            return work()
    except EXPECTED as error:
        return Problem(str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - one host's fault must not end the others' run
        reported = f"{type(error).__name__}: {error}".rstrip(": ")
        return Problem(
            f"bramble met something that it does not know ({reported}); the report has the details. "
            "Nothing more was done on this host",
            traceback.format_exc(),
        )
