"""A connection of our own to a host, for what needs a stream and not a deploy."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from contextlib import suppress
from typing import Any

import paramiko

from bramble.settings import Ssh


class SshError(Exception):
    """A host that cannot be reached or trusted; its text says what to do."""


def connect(host: str, ssh: Ssh) -> paramiko.SSHClient:
    """Connect to a host that the fleet's known_hosts lists, and to no other."""
    client = paramiko.SSHClient()
    if ssh.known_hosts.exists():
        client.load_host_keys(str(ssh.known_hosts))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.connect(
            ssh.address,
            port=ssh.port,
            username=ssh.user,
            key_filename=str(ssh.key) if ssh.key else None,
            allow_agent=ssh.key is None,
            look_for_keys=ssh.key is None,
            timeout=ssh.connect_timeout_s,
        )
    except (paramiko.SSHException, OSError) as error:
        where = f"{ssh.user}@{ssh.address}:{ssh.port}"
        raise SshError(f"{host} ({where}) cannot be reached: {error}") from error
    return client


def http_connection(client: paramiko.SSHClient, port: int) -> http.client.HTTPConnection:
    """HTTP to a port of the node's own loopback, through the SSH connection."""
    transport = client.get_transport()
    if transport is None:
        raise SshError("the SSH connection was closed")
    try:
        channel = transport.open_channel("direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0))
    except paramiko.SSHException as error:
        raise SshError(f"nothing listens on the node's port {port}: {error}") from error
    # A channel's files lack what http.client needs of a socket's, so a pair of sockets lies between.
    ours, theirs = socket.socketpair()
    threading.Thread(target=_pump, args=(theirs, channel), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = ours
    return connection


def _pump(plain: socket.socket, channel: paramiko.Channel) -> None:
    """Carry bytes both ways until one side ends, be it in the middle of what the other still says."""
    sides: list[Any] = [plain, channel]
    with plain, channel, suppress(OSError):
        while True:
            for ready in select.select(sides, [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (channel if ready is plain else plain).sendall(data)
