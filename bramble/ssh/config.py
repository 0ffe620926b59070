"""Where a host is reached: the inventory first, then ~/.ssh/config, read as pyinfra reads it.

Include, Host and Match are honoured (but not `Match exec`, which matches nothing here, as in pyinfra),
and of their keywords HostName, Port, User, IdentityFile, ProxyCommand and ProxyJump.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
import paramiko.config

from bramble.settings import PORT, SshSettings

USER = "pi"
_INCLUDE = re.compile(r"(?i)^\s*include(?:\s*=\s*|\s+)(?P<pattern>.+?)\s*$")


class ConfigError(ValueError):
    """A ~/.ssh/config that cannot be read; the text names it."""


@dataclass(frozen=True)
class Target:
    """An SSH server: its address, account, private keys, known_hosts files, and the jumps before it."""

    address: str
    port: int
    user: str | None
    keys: tuple[Path, ...]
    known_hosts: tuple[Path, ...]
    jumps: tuple[Target, ...] = ()
    command: str | None = None

    @property
    def name(self) -> str:
        """How known_hosts writes the address: with its port, where that is not 22."""
        return self.address if self.port == PORT else f"[{self.address}]:{self.port}"

    @property
    def shown(self) -> str:
        """The address and port as people and URLs write them."""
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


class _NoExec:
    """A stand-in for `invoke`, with which paramiko runs `Match exec`: it runs nothing."""

    ok = False

    def run(self, *_words: Any, **_options: Any) -> _NoExec:
        return self


def file() -> Path:
    """Return the path of the person's SSH configuration."""
    return Path("~/.ssh/config").expanduser()


def target(ssh: SshSettings) -> Target:
    """Return where these settings lead; raise ConfigError where ~/.ssh/config cannot be read."""
    try:
        return _target(ssh, _config())
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise ConfigError(f"{file()} cannot be read: {error}") from error


def _target(ssh: SshSettings, config: paramiko.SSHConfig) -> Target:
    found = config.lookup(ssh.address)
    keys = (ssh.key,) if ssh.key else _keys(found)
    return Target(
        address=found.get("hostname", ssh.address),
        port=ssh.port or int(found.get("port") or PORT),
        user=ssh.user or found.get("user", USER),
        keys=keys,
        known_hosts=(ssh.known_hosts,),
        jumps=tuple(_jumps(config, found)) if "proxycommand" not in found else (),
        command=found.get("proxycommand"),
    )


def _config() -> paramiko.SSHConfig:
    # Without this paramiko raises ImportError at `Match exec`.
    vars(paramiko.config).update(invoke=_NoExec())
    text = "\n".join(_lines(file(), [])) if file().exists() else ""
    return paramiko.SSHConfig.from_text(text)


def _lines(path: Path, within: list[Path]) -> Iterator[str]:
    """Yield a file's lines, with those of the files that it includes in place."""
    if path in within:
        raise paramiko.ConfigParseError(f"{path} includes itself")
    for line in path.read_text(encoding="utf-8").splitlines():
        included = _INCLUDE.match(line)
        if included is None:
            yield line
            continue
        pattern = path.parent / Path(included["pattern"].strip('"')).expanduser()
        for name in glob.iglob(str(pattern)):
            yield from _lines(Path(name), [*within, path])


def _keys(found: paramiko.SSHConfigDict) -> tuple[Path, ...]:
    return tuple(Path(name).expanduser() for name in found.get("identityfile", ()))


def _jumps(config: paramiko.SSHConfig, found: paramiko.SSHConfigDict) -> Iterator[Target]:
    """Yield the hosts of ProxyJump, each as the file describes it, without jumps of its own."""
    said = found.get("proxyjump", "none")
    for hop in said.split(",") if said.lower() != "none" else ():
        user, _, place = hop.strip().rpartition("@")
        # With several colons (IPv6) none is known to precede a port; pyinfra reads it so too.
        name, _, port = place.partition(":") if place.count(":") == 1 else (place, "", "")
        inner = config.lookup(name)
        known = inner.get("userknownhostsfile", "~/.ssh/known_hosts").split()
        yield Target(
            address=inner.get("hostname", name),
            port=int(port or inner.get("port") or PORT),
            user=user or inner.get("user"),
            keys=_keys(inner),
            known_hosts=tuple(Path(each).expanduser() for each in known),
        )
