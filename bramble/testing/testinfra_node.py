"""The checks through testinfra: the same functions, over the `host` fixture of any backend."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any

from testinfra.host import Host as Connection

from bramble import registry, remote
from bramble.board import board
from bramble.checks import CHAT, Task, ask_query
from bramble.fit.ahead import with_header
from bramble.inventory.load import Host, Inventory
from bramble.plan import NodePlan, look_at, make
from bramble.settings import SshSettings
from bramble.snapshot import Snapshot, Unknown, read
from bramble.ssh.config import target

WITHOUT = "set base.passwordless_sudo (docs/how-to/sudo-password.md)"


class NodeError(Exception):
    """A host that is reached, and cannot be looked at."""


class TestinfraNode:
    """A node that checks look at through testinfra: one look, taken once."""

    __test__ = False  # not a test class, whatever its name begins with

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host
        roles = registry.roles_of(host.settings)
        query = look_at(host.name, host.settings, roles, host.prepared)
        asked_at_s = time.time()
        answer = remote.answer(self._run("probe", query))
        self.snapshot: Snapshot = read(answer, asked_at_s, time.time())
        self.plan = self._plan()

    def _run(self, program: str, query: Mapping[str, Any]) -> str:
        # A here document, as testinfra gives commands no standard input.
        text = remote.program(program, query)
        command = f"{remote.COMMAND} <<'BRAMBLE_END'\n{text}\nBRAMBLE_END"
        with self._connection.sudo():
            done = self._connection.run(command)
        if done.rc == 0:
            output: str = done.stdout
            return output
        said = (done.stderr or done.stdout).strip()
        # sudo alone has said something, whatever the language.
        if said and all(line.startswith("sudo: ") for line in said.splitlines()):
            said += f"; pytest gives it no password: {WITHOUT}"
        raise NodeError(said or f"the look ended with exit code {done.rc}")

    def _plan(self) -> NodePlan:
        found = board(self.snapshot)
        if isinstance(found, Unknown):
            raise ValueError(f"{self._host.name}: {found.why}")
        name, settings, prepared = self._host.name, self._host.settings, self._host.prepared
        prepared = with_header(name, settings, prepared, self.snapshot, warnings.warn)
        return make(name, settings, found, registry.roles_of(settings), prepared)

    def ask(
        self, url: str, question: str, task: Task = CHAT, model: str = ""
    ) -> Mapping[str, Any] | Unknown:
        """Ask the model on the node itself; return its answer."""
        said = self._run("ask", ask_query(url, question, task, model))
        answer: Mapping[str, Any] = remote.answer(said)
        return answer

    def read_back(self, path: str) -> None:
        """Read nothing back: for gigabytes there is `bramble verify --deep`."""


def ssh_config(inventory: Inventory) -> str:
    """Return the fleet as an OpenSSH configuration: keys, ports and trust as in the inventory."""
    return "".join(_entry(host) for host in inventory.hosts.values())


def _entry(host: Host) -> str:
    ssh = host.settings["ssh"]
    assert isinstance(ssh, SshSettings)
    there = target(ssh)
    lines = [
        f"HostName {there.address}",
        f"Port {there.port}",
        f"User {there.user}",
        f"UserKnownHostsFile {ssh.known_hosts}",
        "StrictHostKeyChecking yes",
        # OpenSSH alone would wait for ever on a node that vanished.
        "ServerAliveInterval 5",
        "ServerAliveCountMax 3",
        *(f"IdentityFile {key}" for key in there.keys),
    ]
    if ssh.key:
        lines += ["IdentitiesOnly yes"]
    if there.command:
        lines += [f"ProxyCommand {there.command}"]
    if there.jumps:
        jumps = (f"{jump.user}@{jump.shown}" if jump.user else jump.shown for jump in there.jumps)
        lines += [f"ProxyJump {','.join(jumps)}"]
    return f"Host {host.name}\n" + "".join(f"    {line}\n" for line in lines)
