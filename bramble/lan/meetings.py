"""What the boards of a network show: each one's SSH key, asked for side by side, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bramble.lan.pis import Pi
from bramble.settings import SshSettings
from bramble.ssh import known_hosts
from bramble.ssh.client import SshError
from bramble.ssh.config import target
from bramble.ssh.problems import fingerprint
from bramble.ssh.trust import offered_key

TIMEOUT_S = 5
AT_ONCE = 32


@dataclass(frozen=True)
class Met:
    """A board with its key's fingerprint, or why it shows none, and the host that it is already."""

    pi: Pi
    fingerprint: str = ""
    problem: str = ""
    host: str = ""

    @property
    def is_new(self) -> bool:
        """Whether it can be enrolled."""
        return bool(self.fingerprint) and not self.host


def meet(pis: Iterable[Pi], file: Path, hosts: Mapping[str, SshSettings]) -> list[Met]:
    """Ask each board for its key; `file` is the fleet's known_hosts, `hosts` those of the inventory."""
    several = list(pis)
    known = {target(ssh).name: name for name, ssh in hosts.items()}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(lambda pi: _met(pi, file, known), several))


def _met(pi: Pi, file: Path, known: Mapping[str, str]) -> Met:
    ssh = SshSettings(address=pi.address, known_hosts=file, connect_timeout_s=TIMEOUT_S)
    try:
        key = offered_key(pi.address, ssh)
    except SshError as error:
        return Met(pi, problem=str(error))
    names = known_hosts.names_of(file, key.get_base64())
    # A key in known_hosts whose host the inventory does not have is one that somebody met before.
    host = next((known[name] for name in names if name in known), "")
    return Met(pi, fingerprint(key), host=host or known.get(pi.address, ""))
