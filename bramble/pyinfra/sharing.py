"""What nodes pull from this computer: its file servers, one for each address that nodes connect to.

A server listens on the address of the SSH connection alone, lets in those nodes alone that something was
offered to, and what it offers has a name that nobody can guess. It ends with this process.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path

from paramiko import SSHException
from pyinfra.api import Host
from pyinfra.connectors.ssh import SSHConnector

_PROGRAM = Path(__file__).with_name("file_server.py")
# The connection's two ends, then all addresses of the node: it may connect from another one.
_ADDRESSES = """printf '%s ' $SSH_CONNECTION / $(hostname -I)"""
_TIMEOUT_S = 30


class SharingError(Exception):
    """Why a node cannot pull from this computer."""


class Server:
    """A running file server, and what it offers."""

    def __init__(self, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(_PROGRAM), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.names: dict[Path, str] = {}
        assert self.process.stdout is not None
        self.port = self.process.stdout.readline().strip()

    def offer(self, path: Path, peers: Collection[str]) -> str:
        """Offer a file to these addresses too, and return the name under which it can be fetched."""
        name = self.names.get(path) or f"{secrets.token_urlsafe(16)}/{path.name}"
        offer = {"name": name, "path": str(path), "peers": sorted(peers)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(offer) + "\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            raise OSError("the file server on this computer has ended")
        self.names[path] = name
        return name


_servers: dict[str, Server] = {}
_lock = threading.Lock()


def url(host: Host, path: Path) -> str:
    """Return the URL at which this node can fetch a file from this computer."""
    (address, peer), ((seen, *_), own) = _ends(host), _connection(host)
    with _lock:
        try:
            server = _servers.get(address) or _servers.setdefault(address, Server(address))
            if not server.port:
                raise SharingError(f"this computer cannot serve files on {address}")
            name = server.offer(path, {peer, *own})
        except OSError as error:
            _servers.pop(address, None)
            raise SharingError(f"this computer cannot serve files: {error}") from error
    shown = f"[{seen}]" if ":" in seen else seen
    return f"http://{shown}:{server.port}/{name}"


def _ends(host: Host) -> tuple[str, str]:
    """Return this computer's address in the host's connection, and the peer's."""
    if not isinstance(host.connector, SSHConnector) or host.connector.client is None:
        raise SharingError("it is not reached over SSH")
    transport = host.connector.client.get_transport()
    connected = transport and transport.sock
    # Behind a jump host the transport's "socket" is a channel, which has no address of its own.
    if connected is None or not hasattr(connected, "getsockname"):
        raise SharingError("it is reached through another host")
    return str(connected.getsockname()[0]), str(connected.getpeername()[0])


def address_of(host: Host) -> str:
    """Return the node's own address in the connection to it, which its neighbours reach too."""
    said, _ = _connection(host)
    # Four words: this computer's address and port, then the node's.
    if len(said) != 4 or "%" in said[2] or not _is_address(said[2]):
        raise SharingError(f"it does not say by which address it is reached ({' '.join(said)})")
    return said[2]


def _is_address(text: str) -> bool:
    """Tell whether a node's word is an IP address, which other nodes can be sent to."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _connection(host: Host) -> tuple[list[str], list[str]]:
    """Return both ends of the connection as the node sees them, ours first; and its addresses."""
    try:
        ok, output = host.run_shell_command(_ADDRESSES, _sudo=False, _timeout=_TIMEOUT_S)
    except (OSError, SSHException) as error:
        raise SharingError(
            f"the connection failed: {str(error) or type(error).__name__}"
        ) from error
    said, _, own = (output.stdout.strip().splitlines() or [""])[-1].partition("/")
    if not ok or not said.split():
        raise SharingError("it does not say from where it is connected to")
    return said.split(), own.split()
