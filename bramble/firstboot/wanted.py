"""What a node is to be after its first boot, and why that would lock its owner out.

A headless board that nobody can log in to shows nothing of it, so all of this is found beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bramble.firstboot.public_keys import problem as key_problem
from bramble.firstboot.volume import Way

# userconf takes no underscore; adduser and cloud-init do.
_NAMES = {
    "custom.toml": (
        r"[a-z][a-z0-9-]{0,31}",
        "a lower-case letter, then letters, digits and '-', 32 in all",
    ),
    "cloud-init": (
        r"[a-z][a-z0-9_-]{0,31}",
        "a lower-case letter, then letters, digits, '-' and '_', 32 in all",
    ),
}
# Debian's accounts of its own (base-passwd), which cannot be a person's too.
_TAKEN = frozenset(
    [
        "root",
        "daemon",
        "bin",
        "sys",
        "sync",
        "games",
        "man",
        "lp",
        "mail",
        "news",
        "uucp",
        "proxy",
        "www-data",
        "backup",
        "list",
        "irc",
        "nobody",
    ]
)
_HOSTNAME = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ZONE = r"[A-Za-z0-9_+/-]{1,64}"
_COUNTRY = r"[A-Z]{2}"
_SSID_BYTES = 32
# NetworkManager's keyfiles, which Bookworm writes, read `;` and `\` otherwise than they are meant.
_NOT_IN_SSID = '";\\'


@dataclass(frozen=True)
class Wifi:
    """A network to join: its key is derived from the passphrase, which is kept nowhere."""

    ssid: str
    country: str
    psk: str = field(repr=False)


@dataclass(frozen=True)
class HostKey:
    """An SSH host key that was made ahead, as OpenSSH writes both halves."""

    private: str = field(repr=False)
    public: str


@dataclass(frozen=True)
class FirstBoot:
    """All that the first boot sets."""

    host: str
    hostname: str
    user: str
    keys: tuple[str, ...]
    timezone: str | None = None
    wifi: Wifi | None = None
    host_key: HostKey | None = None


def problems(wanted: FirstBoot, way: Way) -> list[str]:
    """Return all that would leave a board that nobody can log in to."""
    return [*_of_account(wanted, way), *_of_names(wanted), *_of_wifi(wanted.wifi)]


def _of_account(wanted: FirstBoot, way: Way) -> Iterator[str]:
    pattern, allowed = _NAMES[way]
    if not re.fullmatch(pattern, wanted.user):
        yield f"ssh.user: found {wanted.user!r:.60}, and the first boot takes: {allowed}"
    elif wanted.user in _TAKEN:
        yield f"ssh.user: {wanted.user} is an account of the system itself; name another one"
    if not wanted.keys:
        yield (
            "no public key: the account gets no password, so nobody could log in; set ssh.key or "
            "base.authorized_keys, or name a file by --public-key ~/.ssh/id_ed25519.pub"
        )
    for key in wanted.keys:
        if why := key_problem(key):
            yield f"a public key cannot be used: {why}"


def _of_names(wanted: FirstBoot) -> Iterator[str]:
    if not re.fullmatch(_HOSTNAME, wanted.hostname):
        yield (
            f"the host's name {wanted.hostname!r:.80} is none that a node can have (letters, "
            "digits and dashes in between, no domain); set base.hostname"
        )
    if wanted.timezone is not None and not re.fullmatch(_ZONE, wanted.timezone):
        yield f"base.timezone: found {wanted.timezone!r:.80}, allowed: a name such as Europe/Vienna"


def _of_wifi(wifi: Wifi | None) -> Iterator[str]:
    if wifi is None:
        return
    if not 1 <= len(wifi.ssid.encode()) <= _SSID_BYTES or wifi.ssid != wifi.ssid.strip():
        yield f"--wifi: a network's name has 1 to {_SSID_BYTES} bytes and no blanks at its ends"
    if not wifi.ssid.isprintable() or set(wifi.ssid) & set(_NOT_IN_SSID):
        yield f"--wifi: a control character, or one of {' '.join(_NOT_IN_SSID)}, is in the name"
    if not re.fullmatch(_COUNTRY, wifi.country):
        yield (
            f"--wifi-country: found {wifi.country!r:.20}, allowed: two capital letters (AT, DE, "
            "GB): the radio stays off until it is known"
        )
