"""Take a node out of its gateways while what answers there restarts, and bring it back after its gate.

A program at the gateway does it, over this run's connection to that host, and keeps one node out at a
time: so the nodes of one gateway follow each other, whichever runs they are in. A gateway that cannot
be reached is told, and stops nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import RLock
from paramiko import Channel, SSHException
from pyinfra.api import Host, StringCommand
from pyinfra.api.exceptions import NoHostError

from bramble import computer, fleet, project, remote
from bramble.outputs import GatewaySettings
from bramble.pyinfra import alone, connection
from bramble.pyinfra.boundary import EXPECTED, Overdue
from bramble.pyinfra.connector import NodeConnector
from bramble.pyinfra.telling import say
from bramble.remote import lease_node
from bramble.sanitize import sanitize
from bramble.steps import Step

PLAN = "/etc/bramble/gateway/questions.json"
LONGEST_S = 8 * 3600
"""How long a turn may be waited for: the program there ends with the run that has it."""
SPARE_S = 60
LONGEST_ANSWER = 4096
FAILED = "the deploy's gate failed"
_KINDS = {
    "state": str,
    **{"node": str | None, "why": str | None, "last": list[str] | None},
    **{"left": int | None, "until_s": float | None, "up": bool | None},
}
"""What the program at a gateway tells."""

_connecting = RLock()
_away: dict[str, str] = {}
"""Why gateways could not be connected to in this run."""


@dataclass
class Lease:
    """A node that is taken out of a gateway for this run."""

    gateway: str
    channel: Channel
    lines: Any = field(repr=False)
    until_s: float


def around(own: Host, step: Step, work: Callable[[], str | None]) -> str | None:
    """Carry out a step; while it keeps the model from answering, the node is out of its gateways."""
    if not (step.interrupts or step.reboot_deadline_s is not None):
        return work()
    leases = [lease for name in gateways_of(own) if (lease := _begin(own, name, step))]
    problem: str | None = FAILED
    try:
        problem = work()
    finally:
        for lease in leases:
            _end(own, lease, problem)
    return problem


def gateways_of(own: Host) -> Iterator[str]:
    """Yield the gateways that the inventory has before a host, in one order for all runs."""
    for name, behind in sorted(_gateways(project.folder()).items()):
        if own.name in behind:
            yield name


@cache
def _gateways(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the nodes behind each gateway of an inventory."""
    return {
        name: part.behind(host.prepared)
        for name, host in fleet.load(folder).hosts.items()
        for part in host.settings.values()
        if isinstance(part, GatewaySettings)
    }


def _begin(own: Host, name: str, step: Step) -> Lease | None:
    """Have a gateway take the node out; return None where it does not, which is told."""
    channel = None
    try:
        channel = _started(own, name, step)
        return _out(own, name, channel)
    except (*EXPECTED, ValueError, LookupError) as error:
        why = sanitize(str(error) or type(error).__name__)
        said = f"the gateway {name} was not told ({why}): what clients ask there may fail meanwhile"
        say(own, said, "yellow")
        _close(channel)
        return None


def _started(own: Host, name: str, step: Step) -> Channel:
    """Start the program at the gateway's host, which may be none of this run's."""
    try:
        gateway = own.state.inventory.get_host(name)
    except NoHostError:
        raise LookupError("it is not there") from None
    connector = _connected(gateway)
    why = f"{computer.who()} takes it out: {step.name}"
    query = {"plan": PLAN, "node": own.name, "why": why}
    line = StringCommand(remote.command_line("lease_node", query))
    channel = connector.begun(line, **connection.privileges(gateway, as_root=True))
    gevent.spawn(alone.beat, channel)
    return channel


def _connected(gateway: Host) -> NodeConnector:
    """Return the connection to a gateway; one that failed in this run is not tried again."""
    with _connecting:
        if why := _away.get(gateway.name):
            raise LookupError(why)
        try:
            if not gateway.connected:
                gateway.connect(show_errors=False, raise_exceptions=True)
        except EXPECTED as error:
            _away[gateway.name] = str(error) or type(error).__name__
            raise
    if not isinstance(gateway.connector, NodeConnector):
        raise LookupError("it is not reached over SSH")
    return gateway.connector


def _close(channel: Channel | None) -> None:
    with suppress(OSError, EOFError, SSHException):
        if channel is not None:
            channel.close()


def _out(own: Host, name: str, channel: Channel) -> Lease | None:
    """Follow the program until the node is out; return None where it has nothing to take out."""
    lines = channel.makefile("r")
    while (told := _next(lines, LONGEST_S))["state"] == "waiting":
        say(own, f"waits for its turn: {told['node']} is out of the gateway {name}")
    if told["state"] != "out":
        _close(channel)
        say(own, f"not taken out of the gateway {name}: {told['why']}")
        return None
    for model in told["last"] or ():
        said = f"it is the last node for {model} at the gateway {name}, and is not taken out there"
        say(own, said, "yellow")
    if told["left"]:
        said = f"{told['left']} requests of the gateway {name} are not over, and end now"
        say(own, said, "yellow")
    return Lease(name, channel, lines, told["until_s"] or time.time())


def _next(lines: Any, limit_s: float) -> dict[str, Any]:
    """Return what the program at the gateway tells next."""
    with gevent.Timeout(limit_s, Overdue(f"it told nothing for {limit_s:.0f} s")):
        line = lines.readline(LONGEST_ANSWER)
    if not line:
        raise OSError("the connection was closed")
    return remote.answer(line, **_KINDS)


def _end(own: Host, lease: Lease, problem: str | None) -> None:
    """Bring the node back, or have it stay out where its gate failed; say which."""
    until = time.strftime("%H:%M", time.localtime(lease.until_s))
    alone_back = f"it comes back by itself after {until}, once its answer is right"
    try:
        lease.channel.sendall(f"{FAILED if problem else 'back'}\n".encode())
        told = _next(lease.lines, lease_node.UP_S + SPARE_S)
    except (*EXPECTED, ValueError) as error:
        why = sanitize(str(error) or type(error).__name__)
        say(own, f"the gateway {lease.gateway} was not told ({why}): {alone_back}", "yellow")
        return
    finally:
        _close(lease.channel)
    if problem:
        say(own, f"it stays out of the gateway {lease.gateway}: {alone_back}", "yellow")
    elif not told["up"]:
        say(
            own,
            f"the gateway {lease.gateway} does not find it up: see gateway.nodes_are_up",
            "yellow",
        )
    else:
        say(own, f"back in the gateway {lease.gateway}")
