"""The only route out of a virtual Pi: tinyproxy, for the Debian mirror alone.

Containers reach it on their bridge; machines through QEMU, which forwards the connections to one
address in the guest to a port of the loopback.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bramble.virtual import paths, processes
from bramble.virtual.apt import AptHost
from bramble.virtual.commands import run
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.waiting import answers


@dataclass(frozen=True)
class Listener:
    """Where a proxy listens and for whom; its name is that of its files."""

    name: str
    address: str
    port: int
    clients: str

    @property
    def url(self) -> str:
        """Return the proxy's address as apt takes it."""
        return f"http://{self.address}:{self.port}"


def filter_text(apt: AptHost) -> str:
    """Return one anchored expression for each host that nodes may reach."""
    return "".join(f"^{re.escape(host)}$\n" for host in apt.mirror_hosts)


def config_text(apt: AptHost, folder: Path, listener: Listener) -> str:
    """Return the configuration: nodes only, mirrors only, through the host's own proxy if it has one."""
    lines = [
        f"Port {listener.port}",
        f"Listen {listener.address}",
        "User nobody",
        "Group nogroup",
        "Timeout 120",
        "MaxClients 200",
        f"Allow {listener.clients}",
        "DisableViaHeader Yes",
        "LogLevel Warning",
        "ConnectPort 443",
        f'PidFile "{folder / "pid"}"',
        f'LogFile "{folder / "log"}"',
        f'Filter "{folder / "filter"}"',
        "FilterExtended On",
        "FilterDefaultDeny Yes",
    ]
    upstream = _upstream(apt)
    return "\n".join(lines + upstream) + "\n"


def _upstream(apt: AptHost) -> list[str]:
    """Return the directive for the host's proxy, through which tinyproxy then reaches the mirror."""
    proxy = apt.http_proxy or apt.https_proxy
    if not proxy:
        return []
    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        raise VirtualPiError(
            f"apt's proxy here has the scheme {parts.scheme!r}: virtual Pis can go through an "
            "http:// proxy only"
        )
    login = parts.netloc.rpartition("@")[0]
    prefix = f"{login}@" if login else ""
    return [f"Upstream http {prefix}{parts.hostname}:{parts.port or 3128}"]


def ensure(apt: AptHost, listener: Listener) -> None:
    """Ensure the proxy runs with this very configuration."""
    folder = paths.state_dir() / listener.name
    folder.mkdir(parents=True, exist_ok=True)
    config, allowed = folder / "tinyproxy.conf", folder / "filter"
    wanted = {config: config_text(apt, folder, listener), allowed: filter_text(apt)}
    running = processes.load(_record_path(listener))
    if running and all(path.is_file() and path.read_text() == wanted[path] for path in wanted):
        return
    stop(listener)
    for path, content in wanted.items():
        path.write_text(content)
    # The host's proxy may be named with a password; tinyproxy reads this as root, then steps down.
    config.chmod(0o600)
    _start(config, folder, listener)


def _start(config: Path, folder: Path, listener: Listener) -> None:
    """Start tinyproxy, which puts itself into the background, and record its process."""
    place = f"{listener.address}:{listener.port}"
    if answers(listener.address, listener.port):
        raise VirtualPiError(
            f"{place}, where the proxy of virtual Pis listens, is taken by a process "
            f"that {paths.state_dir()} does not know (a proxy of another BRAMBLE_STATE?): "
            f"'ss -ltnp sport = :{listener.port}' names it; end it there"
        )
    pid_file = folder / "pid"
    pid_file.unlink(missing_ok=True)
    run("tinyproxy", "-c", str(config))

    def ready() -> bool:
        # It listens before it goes into the background, which is when it notes its number.
        return answers(listener.address, listener.port) and _record_in(pid_file) is not None

    record = _record_in(pid_file) if processes.wait_until(ready, deadline_s=10) else None
    if record is None:
        raise VirtualPiError(
            f"tinyproxy does not listen on {place}; its log {folder / 'log'} says why"
        )
    processes.save(record, _record_path(listener))


def _record_in(pid_file: Path) -> processes.ProcessRecord | None:
    number = pid_file.read_text().strip() if pid_file.exists() else ""
    return processes.record_of(int(number)) if number else None


def stop(listener: Listener) -> None:
    """End the proxy if it is ours and alive."""
    record = processes.load(_record_path(listener))
    if record:
        processes.end(record, grace_s=5)
    _record_path(listener).unlink(missing_ok=True)


def _record_path(listener: Listener) -> Path:
    return paths.state_dir() / f"{listener.name}.json"
