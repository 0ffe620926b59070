"""Trust in a host: its SSH key, seen once, compared by a person, and kept in the fleet's known_hosts."""

from __future__ import annotations

import base64

import paramiko

from bramble.settings import SshSettings
from bramble.ssh import known_hosts
from bramble.ssh.client import PROBLEMS, SshError, way
from bramble.ssh.config import target
from bramble.ssh.problems import why


def offered_key(host: str, ssh: SshSettings) -> paramiko.PKey:
    """The key that the host shows now; nothing is sent to it but the greeting."""
    try:
        with way(target(ssh), ssh.connect_timeout_s) as there:
            transport = paramiko.Transport(there)
            try:
                _prefer(transport, list(_known(ssh)))
                transport.start_client(timeout=ssh.connect_timeout_s)
                return transport.get_remote_server_key()
            finally:
                transport.close()
    except PROBLEMS as error:
        raise SshError(f"{host} shows no SSH key: {why(host, ssh, error)}") from error


def _prefer(transport: paramiko.Transport, kinds: list[str]) -> None:
    """Ask for a key of a type that is known already, as a connection does."""
    options = transport.get_security_options()
    first = [kind for kind in kinds if kind in options.key_types]
    options.key_types = (*first, *(kind for kind in options.key_types if kind not in first))


def known_key(ssh: SshSettings, offered: paramiko.PKey) -> paramiko.PKey | None:
    """The trusted key that the offered one is held against, None where there is none of this address."""
    known = _known(ssh)
    kind = offered.get_name() if offered.get_name() in known else next(iter(known), None)
    return (
        None
        if kind is None
        else paramiko.PKey.from_type_string(kind, base64.b64decode(known[kind]))
    )


def is_revoked(ssh: SshSettings, key: paramiko.PKey) -> bool:
    """Whether known_hosts says that nobody is to be trusted for this key."""
    return known_hosts.revoked(ssh.known_hosts, key.get_base64())


def keep(ssh: SshSettings, key: paramiko.PKey) -> None:
    """Write the key to known_hosts in place of any other of this address; all else stays as is."""
    known_hosts.put(ssh.known_hosts, target(ssh).name, key.get_name(), key.get_base64())


def _known(ssh: SshSettings) -> dict[str, str]:
    return known_hosts.keys(ssh.known_hosts, target(ssh).name)
