"""SSH servers that misbehave as nodes do: real connections, with what goes wrong planted in them.

A frozen sshd, a memory stall and a broken disk all look like one of these from the other side.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import paramiko

from bramble import report

ROOT = Path(__file__).parents[2]
# Ends a hang; whatever is told takes half a minute.
DEADLINE_S = 300
KEY = paramiko.ECDSAKey.generate()
SUDO = re.compile(r"^sudo -H -n ")
# By how the server misbehaves; "healthy" runs what it is asked to run, on this computer.
FAULTS = (
    "wants a sudo password",
    "says nothing at all",
    "opens no channel",
    "closes as a channel opens",
    "starts no command",
    "answers with no object",
    "hangs in the middle",
    "freezes in the middle",
    "takes no file",
)


class Node(paramiko.ServerInterface):
    """One connection; what it does wrong depends on how it is `faulty`."""

    def __init__(self, server):
        self.server = server
        self.froze = threading.Event()

    def wait_for_ever(self):
        """Be stuck until the test is over."""
        self.server.closing.wait()

    def check_auth_publickey(self, username, key):
        self.server.logins.append(username)
        return paramiko.AUTH_SUCCESSFUL

    def check_auth_none(self, username):
        self.server.logins.append(username)
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username, password):
        self.server.logins.append(username)
        return paramiko.AUTH_FAILED

    def get_allowed_auths(self, username):
        return "publickey"

    def check_global_request(self, kind, msg):
        if self.froze.is_set():
            self.wait_for_ever()
        return False

    def check_channel_request(self, kind, chanid):
        if self.server.faulty == "opens no channel":
            self.wait_for_ever()
        if self.server.faulty == "closes as a channel opens":
            self.transport.close()
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        if self.server.faulty == "starts no command":
            self.wait_for_ever()
        threading.Thread(target=self.run, args=(channel, command.decode()), daemon=True).start()
        return True

    def check_channel_subsystem_request(self, channel, name):
        if self.server.faulty == "takes no file":
            return True  # and never a word
        return super().check_channel_subsystem_request(channel, name)

    def run(self, channel, command):
        with suppress(OSError, EOFError, paramiko.SSHException):
            stdin = channel.makefile("rb").read()
            code, stdout, stderr = self.said(command, stdin)
            channel.sendall(stdout)
            channel.sendall_stderr(stderr)
            if code is None:
                self.wait_for_ever()
            else:
                channel.send_exit_status(code)
            channel.close()

    def said(self, command, stdin):
        faulty = self.server.faulty
        if faulty == "wants a sudo password" and SUDO.match(command):
            return 1, b"", b"sudo: a password is required\n"
        if faulty == "answers with no object":
            return 0, b'["root"]\n', b""
        if faulty == "hangs in the middle":
            return None, b"looking at mountinfo\n", b""
        if faulty == "freezes in the middle":
            self.froze.set()
            return None, b"", b""
        done = subprocess.run(
            ["sh", "-c", SUDO.sub("", command)], input=stdin, capture_output=True, check=False
        )
        return done.returncode, done.stdout, done.stderr


class Server:
    """A server on a port of the loopback, for as long as it is not closed."""

    def __init__(self, faulty):
        self.faulty = faulty
        # Who tried to log in, by whatever means; and how often somebody connected at all.
        self.logins, self.connections = [], 0
        self.closing = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                self.connections += 1
                if self.faulty != "says nothing at all":
                    threading.Thread(target=self.meet, args=(client,), daemon=True).start()

    def meet(self, client):
        transport = paramiko.Transport(client)
        transport.add_server_key(KEY)
        node = Node(self)
        node.transport = transport
        with suppress(OSError, EOFError, paramiko.SSHException):
            transport.start_server(server=node)

    def close(self):
        self.closing.set()
        self.socket.close()


def write_inventory(folder: Path, servers, settings, **ssh):
    """An inventory of these servers, which are trusted, with a key that they all take."""
    import yaml

    folder.mkdir()
    paramiko.ECDSAKey.generate().write_private_key_file(str(folder / "key"))
    lines = [
        f"[127.0.0.1]:{server.port} {KEY.get_name()} {KEY.get_base64()}\n" for server in servers
    ]
    (folder / "known_hosts").write_text("".join(lines))
    ssh |= {"address": "127.0.0.1", "user": "pi", "key": "key", "connect_timeout_s": 5}
    hosts = {server.faulty.replace(" ", "-"): {"ssh": {"port": server.port}} for server in servers}
    fleet = {"settings": {**settings, "ssh": ssh}, "hosts": hosts}
    (folder / "fleet.yml").write_text(yaml.safe_dump(fleet))


def run(folder, deploy, *options, **more):
    """pyinfra on the inventory in `folder`, without a terminal: its code, its words, its events."""
    file = folder / f"{Path(deploy).stem}.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "inventory.py", deploy, "-y", *options],
        cwd=ROOT,
        env={**os.environ, "BRAMBLE_INVENTORY": str(folder), report.VARIABLE: str(file), **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done, [json.loads(line) for line in file.read_text().splitlines()]
