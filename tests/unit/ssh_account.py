"""An account on an SSH server of the loopback: it opens by a password, and by the keys of its file."""

import contextlib
import os
import socket
import subprocess
import threading
from contextlib import suppress

import paramiko


class Account(paramiko.ServerInterface):
    """One connection to the account; commands run on this computer, with its home."""

    def __init__(self, there):
        self.there = there

    def get_allowed_auths(self, username):
        return "publickey,password"

    def check_auth_publickey(self, username, key):
        file = self.there.home / ".ssh" / "authorized_keys"
        known = file.read_text() if file.exists() and not self.there.is_deaf else ""
        is_known = key.get_base64() in known
        self.there.logins.append(("key", username, is_known))
        return paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED

    def check_auth_password(self, username, password):
        is_right = password == self.there.password
        self.there.logins.append(("password", username, is_right))
        return paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        words = command.decode()
        self.there.commands.append(words)
        threading.Thread(target=self.run, args=(channel, words), daemon=True).start()
        return True

    def run(self, channel, command):
        with suppress(OSError, EOFError, paramiko.SSHException):
            stdin = channel.makefile("rb").read()
            answer = next(
                (a for start, a in self.there.answers.items() if command.startswith(start)), None
            )
            if answer is None:
                done = subprocess.run(
                    ["sh", "-c", command],
                    input=stdin,
                    capture_output=True,
                    env={"HOME": str(self.there.home), "PATH": os.environ["PATH"]},
                    check=False,
                )
                answer = done.returncode, done.stdout + done.stderr
            channel.sendall(answer[1])
            channel.send_exit_status(answer[0])
            channel.close()


class Board:
    """A board at a port of the loopback: its key, its account's home and password, and what it was told.

    `answers` are codes and outputs by how a command begins; one that `is_deaf` takes no key.
    """

    def __init__(self, home, password="raspberry", model=b"Raspberry Pi 5 Model B Rev 1.0"):
        self.home, self.password, self.is_deaf = home, password, False
        self.key = paramiko.ECDSAKey.generate()
        self.logins, self.commands = [], []
        self.answers = {"tr ": (0, model), "sudo ": (0, b"")}
        home.mkdir()

    @contextlib.contextmanager
    def on(self):
        """Serve it; its port is `port` meanwhile."""
        transports = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]

            def serve():
                with suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        transport = paramiko.Transport(connection)
                        transport.add_server_key(self.key)
                        with suppress(paramiko.SSHException, EOFError):
                            transport.start_server(event=threading.Event(), server=Account(self))
                        transports.append(transport)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                thread.join()
                for transport in transports:
                    transport.close()
