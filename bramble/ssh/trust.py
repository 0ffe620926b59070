"""Trust in a host: its SSH key, fetched once, compared by a person, and saved in known_hosts."""

from __future__ import annotations

import base64

import paramiko

from bramble.settings import SshSettings
from bramble.ssh import known_hosts
from bramble.ssh.client import PROBLEMS, SshError, carrier_to
from bramble.ssh.config import target
from bramble.ssh.problems import why


def offered_key(host: str, ssh: SshSettings) -> paramiko.PKey:
    """Fetch the key that the host shows now, without logging in; raise SshError where it shows none."""
    try:
        with carrier_to(target(ssh), ssh.connect_timeout_s) as there:
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
    """Ask first for a key of a type that is already known, as a connection does."""
    options = transport.get_security_options()
    first = [kind for kind in kinds if kind in options.key_types]
    options.key_types = (*first, *(kind for kind in options.key_types if kind not in first))


def known_key(ssh: SshSettings, offered: paramiko.PKey) -> paramiko.PKey | None:
    """Return the trusted key to compare the offered one with; None where the address has none."""
    known = _known(ssh)
    kind = offered.get_name() if offered.get_name() in known else next(iter(known), None)
    return (
        None
        if kind is None
        else paramiko.PKey.from_type_string(kind, base64.b64decode(known[kind]))
    )


def is_revoked(ssh: SshSettings, key: paramiko.PKey) -> bool:
    """Return whether known_hosts marks this key as revoked."""
    return known_hosts.revoked(ssh.known_hosts, key.get_base64())


def keep(ssh: SshSettings, key: paramiko.PKey) -> None:
    """Write the key to known_hosts in place of any other of this address; leave all else as it is."""
    known_hosts.put(ssh.known_hosts, target(ssh).name, key.get_name(), key.get_base64())


def _known(ssh: SshSettings) -> dict[str, str]:
    return known_hosts.keys(ssh.known_hosts, target(ssh).name)
