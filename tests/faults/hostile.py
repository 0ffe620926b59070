"""SSH servers that send what a compromised node would; `ssh_double.py` has those that only fail."""

import json
import socket
from contextlib import suppress

import paramiko

from tests.deploys import ssh_double
from tests.faults.fuzz import CONTROLS

# What a host must say as it is, to be planned at all.
NEEDED = ("architecture", "os_release", "cpuinfo", "meminfo", "mountinfo", "proc_cmdline")
LAST_LINE = b"looking at mountinfo\n"
ANSWERS = {
    "nests deeply": b"[" * 200_000,
    "nests objects": b'{"a":' * 100_000,
    "sends many values": b'{"ok": [' + b"[],{}," * 3_000_000 + b"1]}",
    "sends a long number": b'{"taken_at_s": ' + b"9" * 100_000 + b"}",
    "sends no number": b'{"taken_at_s": NaN, "system": {"ok": Infinity}}',
    "sends keys twice": b'{"system": {"ok": 1}, "system": {"ok": []}, "boot": {}, "boot": 7}',
    "sends bytes that are no text": bytes(range(256)) * 4,
    "sends half a pair": b'{"system": {"unknown": "\\ud800\\u202e\\u001b[2J"}}',
    "sends nothing": b"",
}
ENDLESS = {"never ends its lines": b"x\n" * 2**15, "never ends its line": b"x" * 2**16}
OTHERS = ("says controls", "fails with controls")
KINDS = (*ANSWERS, *ENDLESS, *OTHERS)


def strange(value):
    """The same look with what controls a terminal in each text that it can do without."""
    if isinstance(value, str):
        return value + CONTROLS
    if isinstance(value, dict):
        return {key: inner if key in NEEDED else strange(inner) for key, inner in value.items()}
    return [strange(inner) for inner in value] if isinstance(value, list) else value


class Node(ssh_double.Node):
    """One connection to such a node."""

    def run(self, channel, command):
        endless = ENDLESS.get(self.server.faulty)
        if endless is None or b"looking at" not in (stdin := channel.makefile("rb").read()):
            super().run(channel, command) if endless is None else self.answered(
                channel, command, stdin
            )
            return
        with suppress(OSError, EOFError, paramiko.SSHException):
            while not self.server.closing.is_set():
                channel.sendall(endless)

    def answered(self, channel, command, stdin):
        with suppress(OSError, EOFError, paramiko.SSHException):
            code, stdout, stderr = super().said(command, stdin)
            channel.sendall(stdout)
            channel.sendall_stderr(stderr)
            channel.send_exit_status(code)
            channel.close()

    def said(self, command, stdin):
        faulty, is_look = self.server.faulty, b"looking at" in stdin
        if faulty == "fails with controls":
            return 1, CONTROLS.encode(), f"{CONTROLS}\n".encode() * 3
        if faulty in ANSWERS and is_look:
            return 0, LAST_LINE + ANSWERS[faulty] + b"\n", b""
        code, stdout, stderr = super().said(command, stdin)
        if faulty == "says controls":
            *lines, last = stdout.decode().splitlines() or [""]
            if is_look:
                last = json.dumps(strange(json.loads(last)))
            stdout = "\n".join([f"{CONTROLS}{line}" for line in lines] + [last]).encode()
        return code, stdout, stderr


class Server(ssh_double.Server):
    """A server of such a node."""

    def meet(self, client: socket.socket):
        transport = paramiko.Transport(client)
        transport.add_server_key(ssh_double.KEY)
        node = Node(self)
        node.transport = transport
        with suppress(OSError, EOFError, paramiko.SSHException):
            transport.start_server(server=node)
