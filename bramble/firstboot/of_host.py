"""What a host's first boot is to set, by its settings and the keys that this computer logs in with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from paramiko import PasswordRequiredException

from bramble.firstboot import public_keys
from bramble.firstboot.wanted import FirstBoot, HostKey, Wifi
from bramble.outputs import SystemSettings
from bramble.settings import Section
from bramble.ssh.config import Target
from bramble.ssh.keys import load

Settings = Mapping[str, Section]


def system(settings: Settings) -> SystemSettings | None:
    """Return the settings of the system itself; None where the host does not get that role."""
    parts = (part for part in settings.values() if isinstance(part, SystemSettings))
    return next(parts, None)


def hostname(host: str, settings: Settings) -> str:
    """Return the node's name: the planned one, else the host's in the inventory."""
    own = system(settings)
    return (own and own.hostname) or host


def wanted(
    host: str,
    settings: Settings,
    there: Target,
    key_files: Iterable[Path],
    wifi: Wifi | None,
    host_key: HostKey | None,
) -> FirstBoot:
    """Return all that the first boot is to set; raise KeyFileError where a key cannot be read."""
    own = system(settings)
    named = own.authorized_keys if own else ()
    keys = (*_login_keys(there), *named, *_keys_in(key_files))
    return FirstBoot(
        host=host,
        hostname=hostname(host, settings),
        user=there.user or "",
        keys=tuple(dict.fromkeys(keys)),
        timezone=own.timezone if own else None,
        wifi=wifi,
        host_key=host_key,
    )


def _keys_in(files: Iterable[Path]) -> list[str]:
    return [key for file in files for key in public_keys.read(file)]


def _login_keys(there: Target) -> list[str]:
    """Return the public halves of the keys that bramble logs in with, as far as they are there.

    Without that of a key with a passphrase the account would stay closed to it.
    """
    found = []
    for key in there.keys:
        public = key.with_name(f"{key.name}.pub")
        if public.is_file():
            found += public_keys.read(public)
        elif key.is_file():
            found.append(_public_half(key, public))
    return found


def _public_half(key: Path, public: Path) -> str:
    """Return the public half of a private key."""
    try:
        found = load(key)
    except PasswordRequiredException as error:
        raise public_keys.KeyFileError(
            f"{public} is not there, and {key} has a passphrase: `ssh-keygen -y -f {key} > {public}` "
            "writes it"
        ) from error
    if found is None:
        raise public_keys.KeyFileError(f"{key} is no private key (Ed25519, ECDSA or RSA)")
    return f"{found.get_name()} {found.get_base64()}"
