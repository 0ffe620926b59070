"""Trust in a host: its SSH key, seen once, compared by a person, and kept in the fleet's known_hosts."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from pathlib import Path

import paramiko

from bramble.settings import Ssh
from bramble.ssh import SshError


def offered_key(host: str, ssh: Ssh) -> paramiko.PKey:
    """The key that the host shows now; nothing is sent to it but the greeting."""
    try:
        with socket.create_connection((ssh.address, ssh.port), ssh.connect_timeout_s) as plain:
            transport = paramiko.Transport(plain)
            try:
                transport.start_client(timeout=ssh.connect_timeout_s)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except (OSError, paramiko.SSHException) as error:
        where = f"{ssh.address}:{ssh.port}"
        raise SshError(f"{host} ({where}) shows no SSH key: {error or 'no answer'}") from error


def fingerprint(key: paramiko.PKey) -> str:
    """The key's fingerprint as OpenSSH prints it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def known_key(ssh: Ssh) -> paramiko.PKey | None:
    """The key that the fleet's known_hosts has for this address, None when it has none."""
    if not ssh.known_hosts.exists():
        return None
    entries = paramiko.HostKeys(str(ssh.known_hosts)).lookup(known_name(ssh))
    return next(iter(entries.values())) if entries else None


def known_name(ssh: Ssh) -> str:
    """How known_hosts writes the address: with its port, where that is not 22."""
    return ssh.address if ssh.port == 22 else f"[{ssh.address}]:{ssh.port}"


def keep(ssh: Ssh, key: paramiko.PKey) -> None:
    """Write the key to known_hosts in place of any other of this address; other lines stay as is."""
    name = known_name(ssh)
    path = Path(ssh.known_hosts)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if name not in line.partition(" ")[0].split(",")]
    kept.append(f"{name} {key.get_name()} {key.get_base64()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text("\n".join(kept) + "\n", encoding="utf-8")
    os.replace(new, path)
