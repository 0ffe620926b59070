"""Programs on a node over pyinfra's open connection, bounded in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from io import StringIO
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host
from pyinfra.connectors.ssh import SSHConnector

from bramble import node
from bramble.plan import NodePlan
from bramble.snapshot import Snapshot, Unknown
from bramble.snapshot import read as read_snapshot
from bramble.steps import Step, unit_name

KEEPALIVE_S = 5
DEAD_AFTER_MS = 15_000
LOOK_TIMEOUT_S = 120
ASK_TIMEOUT_S = 300
READ_TIMEOUT_S = 4 * 3600
# A compile must leave the node usable, and its memory must not push sshd out.
DETACHED_PROPERTIES = {
    "Nice": "10",
    "IOSchedulingClass": "idle",
    "OOMScoreAdjust": "900",
    "KillMode": "control-group",
}


def bound(host: Host) -> None:
    """Notice a node that vanished in about 20 s: a connection has no bound of its own."""
    if not isinstance(host.connector, SSHConnector) or host.connector.client is None:
        return
    transport = host.connector.client.get_transport()
    if transport is None:
        return
    transport.set_keepalive(KEEPALIVE_S)
    # Behind a jump host the transport's "socket" is a channel, which has no such option.
    if isinstance(transport.sock, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)


def run(
    host: Host, program: str, query: Mapping[str, Any], timeout_s: int, *, live: bool = False
) -> tuple[bool, str]:
    """Run a program of `bramble/node/` as root: whether it went well, and what it printed.

    With `live` its lines are shown as they arrive. A connection that fails is a failed program.
    """
    try:
        well, output = host.run_shell_command(
            node.COMMAND,
            print_output=live,
            _sudo=True,
            _stdin=StringIO(node.program(program, query)),
            _timeout=timeout_s,
        )
    except (TimeoutError, OSError, SSHException) as error:
        return False, f"the connection failed: {str(error) or type(error).__name__}"
    return bool(well), output.stdout if well else output.stderr or output.stdout


def follow(host: Host, step: Step, more: Mapping[str, Any] | None = None) -> tuple[bool, str]:
    """Run a detached step as a unit that outlives this connection, or follow the one under way.

    `more` is what the program is told besides and what makes it no other work.
    """
    inner = node.program(step.program, {**step.query, **(more or {})})
    query = {"unit": unit_name(step), "program": inner, "properties": DETACHED_PROPERTIES}
    return run(host, "follow", query, step.timeout_s, live=True)


def look(host: Host, query: Mapping[str, Any]) -> Snapshot:
    """One look at the node; all of it Unknown where the probe could not run."""
    asked_at_s = time.time()
    well, output = run(host, "probe", query, LOOK_TIMEOUT_S)
    if not well:
        return Snapshot(system=Unknown(f"the probe did not run: {output.strip()}"))
    try:
        return read_snapshot(node.answer(output), asked_at_s, time.time())
    except ValueError as error:
        return Snapshot(system=Unknown(f"the probe's answer is not JSON: {error}"))


class Live:
    """A node that checks look at over the open connection; a `deep` one reads big files back."""

    def __init__(
        self, host: Host, plan: NodePlan, snapshot: Snapshot, *, deep: bool = False
    ) -> None:
        self.host = host
        self.deep = deep
        self.plan = plan
        self.snapshot = snapshot

    def ask(self, url: str, question: str) -> Mapping[str, Any] | Unknown:
        """The model's answer, asked on the node itself."""
        query = {
            "url": url,
            "question": question,
            "max_tokens": 64,
            "timeout_s": ASK_TIMEOUT_S,
        }
        well, output = run(self.host, "ask", query, ASK_TIMEOUT_S + 30)
        if not well:
            return Unknown(output.strip())
        try:
            answer: Mapping[str, Any] = node.answer(output)
        except ValueError as error:
            return Unknown(f"the node's answer is not JSON: {error}")
        self.host.log(f"{question} {answer.get('answer', answer.get('problem', ''))}")
        return answer

    def read_back(self, path: str) -> str | Unknown | None:
        """What the disk has, read by a unit that gives way to all others."""
        if not self.deep:
            return None
        step = Step(
            "Read back", path, "read_back", {"path": path}, detached=True, timeout_s=READ_TIMEOUT_S
        )
        well, output = follow(self.host, step)
        lines = output.strip().splitlines()
        return lines[-1] if well and lines else Unknown(output.strip() or "it said nothing")
