"""One run at a time changes a node: a run holds it from its first change until it disconnects."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from weakref import WeakKeyDictionary

import gevent
from paramiko import Channel, SSHException, Transport
from pyinfra.api import Host, StringCommand

from bramble import computer, remote
from bramble.pyinfra import connection
from bramble.pyinfra.boundary import Overdue, Problem
from bramble.pyinfra.connector import NodeConnector
from bramble.sanitize import sanitize

WAIT_S = 20
"""How long another run is waited for: one that was killed lets go at once, or as its end is noticed."""
ANSWER_S = WAIT_S + 15
BEAT_S = 10
LONGEST_ANSWER = 4096

_holding: WeakKeyDictionary[Transport, Channel] = WeakKeyDictionary()


def hold(host: Host) -> Problem | bool:
    """Hold the host for this run; return whether another run was waited for, or why it is not held.

    A connection that holds it already costs nothing. A host that is not reached over SSH is not held.
    """
    connector = host.connector
    if not isinstance(connector, NodeConnector):
        return False
    try:
        transport = connector.open_transport()
        if transport in _holding:
            return False
        query = {"who": _who(), "wait_s": WAIT_S}
        line = StringCommand(remote.command_line("hold_node", query))
        channel = connector.begun(line, **connection.privileges(host, as_root=True))
        with gevent.Timeout(ANSWER_S, Overdue(f"it was not held within {ANSWER_S} s")):
            answer = json.loads(channel.makefile("r").readline(LONGEST_ANSWER))
        if not isinstance(answer, dict) or not answer.keys() & {"holder", "waited_s"}:
            raise ValueError("its answer cannot be read")
    except (OSError, EOFError, SSHException, ValueError) as error:
        return Problem(
            f"the node could not be held for this run: {str(error) or type(error).__name__}"
        )
    if "holder" in answer:
        return Problem(
            f"{sanitize(str(answer['holder']))} is changing this node; nothing was changed by this "
            "run. Run again when that one has ended",
            held_by={name: sanitize(str(answer.get(name) or "")) for name in ("who", "since")},
        )
    _holding[transport] = channel
    gevent.spawn(beat, channel)
    return bool(answer["waited_s"] != 0)


def _who() -> str:
    return f"{computer.who()}, process {os.getpid()}"


def beat(channel: Channel) -> None:
    """Say now and then that this run lives."""
    with suppress(OSError, EOFError, SSHException):
        while not channel.closed:
            channel.sendall(b"\n")
            gevent.sleep(BEAT_S)
