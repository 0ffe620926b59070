"""An SSH connection outside pyinfra, for commands that need a stream and not a deploy."""

from __future__ import annotations

import base64
import http.client
import logging
import select
import socket
import threading
from contextlib import suppress
from itertools import pairwise
from typing import Any

import paramiko

from bramble.settings import SshSettings
from bramble.ssh import keys as ssh_keys
from bramble.ssh import known_hosts
from bramble.ssh.config import ConfigError, Target, target
from bramble.ssh.problems import key_problem, why


class SshError(Exception):
    """A host that cannot be reached or trusted; the text says what to do."""


PROBLEMS = (OSError, EOFError, UnicodeError, ConfigError, paramiko.SSHException)
"""What a connection may raise: errors of the network, of host names, of ~/.ssh/config and of SSH."""


def connect(host: str, ssh: SshSettings) -> paramiko.SSHClient:
    """Connect to a host whose key is in the fleet's known_hosts; raise SshError where that fails."""
    if ssh.key and (problem := key_problem(ssh.key)):
        raise SshError(f"ssh.key: {problem}")
    try:
        there = target(ssh)
        return _client(
            there,
            carrier_to(there, ssh.connect_timeout_s),
            ssh.connect_timeout_s,
            any_key=ssh.key is None,
        )
    except PROBLEMS as error:
        raise SshError(f"{host} cannot be reached: {why(host, ssh, error)}") from error


def connect_by(
    host: str, ssh: SshSettings, *, key: paramiko.PKey | None = None, password: str | None = None
) -> paramiko.SSHClient:
    """Connect with this key or password and nothing else; raise SshError where that fails."""
    try:
        there = target(ssh)
        carrier = carrier_to(there, ssh.connect_timeout_s)
        client = _knowing(there)
        client.connect(
            there.address,
            port=there.port,
            username=there.user,
            pkey=key,
            password=password,
            allow_agent=False,
            look_for_keys=False,
            sock=carrier,
            timeout=ssh.connect_timeout_s,
            auth_timeout=ssh.connect_timeout_s,
            channel_timeout=ssh.connect_timeout_s,
        )
        return client
    except PROBLEMS as error:
        raise SshError(f"{host} cannot be reached: {why(host, ssh, error)}") from error


def carrier_to(there: Target, timeout_s: float) -> Any:
    """Open what carries bytes to an SSH server: a socket, a channel through the jumps, or a command."""
    # The caller reports what ended a connection; paramiko would print its traceback too.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    if there.command:
        return paramiko.ProxyCommand(there.command)
    carrier: Any = None
    for jump, following in pairwise((*there.jumps, there)):
        transport = _client(jump, carrier, timeout_s, any_key=True).get_transport()
        assert transport is not None
        place = (following.address, following.port)
        carrier = transport.open_channel("direct-tcpip", place, ("127.0.0.1", 0), timeout=timeout_s)
    return carrier or socket.create_connection((there.address, there.port), timeout_s)


def _client(there: Target, carrier: Any, timeout_s: float, any_key: bool) -> paramiko.SSHClient:
    """Open a session with a server whose key is known; without a carrier paramiko opens a socket."""
    client = _knowing(there)
    client.connect(
        there.address,
        port=there.port,
        username=there.user,
        pkey=ssh_keys.first(there.keys),
        allow_agent=any_key,
        look_for_keys=any_key,
        sock=carrier,
        timeout=timeout_s,
        auth_timeout=timeout_s,
        channel_timeout=timeout_s,
    )
    return client


def _knowing(there: Target) -> paramiko.SSHClient:
    """Return a client that talks to a server with one of the known keys, and to no other."""
    client = paramiko.SSHClient()
    for file in there.known_hosts:
        for kind, key in known_hosts.keys(file, there.name).items():
            known = paramiko.PKey.from_type_string(kind, base64.b64decode(key))
            client.get_host_keys().add(there.name, kind, known)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    return client


def http_connection(client: paramiko.SSHClient, port: int) -> http.client.HTTPConnection:
    """Return HTTP to a port of the node's loopback, carried by the SSH connection."""
    transport = client.get_transport()
    if transport is None:
        raise ConnectionError("the SSH connection was closed")
    try:
        channel = transport.open_channel("direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0))
    except paramiko.SSHException as error:
        raise ConnectionError(
            f"nothing listens on the node's port {port} ({error}); `bramble verify` says why"
        ) from error
    # http.client needs more of a socket's file than a channel's has, so a socket pair lies between.
    ours, theirs = socket.socketpair()
    threading.Thread(target=_pump, args=(theirs, channel), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = ours
    return connection


def _pump(plain: socket.socket, channel: paramiko.Channel) -> None:
    """Copy bytes in both directions until one side closes, even while the other is still sending."""
    sides: list[Any] = [plain, channel]
    with plain, channel, suppress(OSError):
        while True:
            for ready in select.select(sides, [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (channel if ready is plain else plain).sendall(data)
