"""Stand-ins of nodes on loopback: SSH servers that run commands on this computer."""

import contextlib
import os
import socket
import subprocess
import threading

import paramiko

PIECE = 1 << 16


class Node(paramiko.ServerInterface):
    """Let in whoever has the key, and run each command with programs of its own before others."""

    def __init__(self, guest, programs, commands):
        self.guest, self.programs, self.commands = guest, programs, commands

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key == self.guest else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.commands.append(command.decode())
        threading.Thread(target=self._run, args=(channel, command), daemon=True).start()
        return True

    def _run(self, channel, command):
        # Paramiko's reply to the request goes out after this thread began: what is sent comes after it.
        first = channel.recv(PIECE)
        path = f"{self.programs}:{os.environ['PATH']}"
        with subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": path},
        ) as process:
            threading.Thread(target=_feed, args=(channel, process, first), daemon=True).start()
            with contextlib.suppress(OSError, EOFError):
                while data := os.read(process.stdout.fileno(), PIECE):
                    channel.sendall(data)
                process.stdout.close()
                channel.sendall_stderr(process.stderr.read())
                channel.send_exit_status(process.wait())
            # As sshd does it: the end of a connection ends the command's input and its output.
            process.stdout.close()
            process.wait()
        with contextlib.suppress(OSError, EOFError):
            channel.close()


def _feed(channel, process, data):
    """Pass on what the client sends, and its end."""
    with contextlib.suppress(OSError, ValueError):
        while data:
            process.stdin.write(data)
            process.stdin.flush()
            data = channel.recv(PIECE)
    with contextlib.suppress(OSError):
        process.stdin.close()


class Listening:
    """A stand-in's port, the commands that it was asked for, and a way to cut its connections."""

    def __init__(self, key, guest, programs):
        self.key, self.guest, self.programs = key, guest, programs
        self.commands, self._transports = [], []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            self._transports.append(transport)
            # A client that goes during the greeting ends no test.
            with contextlib.suppress(paramiko.SSHException, EOFError):
                node = Node(self.guest, self.programs, self.commands)
                transport.start_server(event=threading.Event(), server=node)

    def cut(self):
        """End all connections."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    def close(self):
        """End all of it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.cut()
