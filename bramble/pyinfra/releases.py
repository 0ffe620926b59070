"""A release for this computer's store: already there, fetched from a node, or built by one node.

Of the hosts that need the same release one at a time is elected, by a lock on a file of the store; so
two runs at once elect one too. It builds, its work is packed and fetched, and the others, who waited,
find it in the store. Where it fails, the next one is elected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError

from bramble import remote
from bramble.llama import store
from bramble.llama.store import StoredRelease, StoreError, Turn
from bramble.pyinfra import connection, patience
from bramble.pyinfra.telling import say
from bramble.report import Report
from bramble.steps import Step, Stored

# How long hosts leave a build to the one that was making it when an earlier run was killed.
COMES_FIRST_S = 15
PACK_TIMEOUT_S = 600
MOST_BYTES = 256 << 20
"""A release is a few MiB: a node that sends more fills this computer's disk."""


class _Limited(FileIO):
    """A file that takes no more than MOST_BYTES."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > MOST_BYTES:
            raise OSError(f"it sends more than {MOST_BYTES >> 20} MiB")
        return super().write(data)


@dataclass
class _Fleet:
    """Which hosts of this run have a release on them, and which ones need it."""

    have: list[Host] = field(default_factory=list)
    need: set[str] = field(default_factory=set)


_fleets: dict[str, _Fleet] = {}


def expect(host: Host, step: Step) -> None:
    """Remember before anything is carried out who has what a step is about, and who needs it."""
    if step.stored is None:
        return
    fleet = _fleets.setdefault(step.stored.key, _Fleet())
    if step.why is None:
        fleet.have.append(host)
    else:
        fleet.need.add(host.name)


def lacking(step: Step) -> str | None:
    """Return why a release that may not be built is not available; None where it is, or may be built."""
    stored = step.stored
    if stored is None or step.why is None or stored.otherwise is None:
        return None
    fleet = _fleets.get(stored.key, _Fleet())
    return None if fleet.have or store.find(stored.key) else stored.otherwise


def have(
    host: Host, step: Step, stored: Stored, build: Callable[[], str | None], report: Report
) -> StoredRelease | str | None:
    """Return the release from the store, an error message, or None where this host has built it."""

    def ask(waited_s: float) -> tuple[StoredRelease | str | None] | None:
        if entry := store.find(stored.key):
            return (entry,)
        with store.turn(stored.key) as turn:
            if turn and not (waited_s < COMES_FIRST_S and _another_comes_first(host, stored, turn)):
                return (_elected(host, stored, turn, build, report),)
        return None

    def tell(waited_s: float) -> None:
        maker = store.builder(stored.key) or "another run"
        say(
            host, f"waiting for release {stored.key}, which {maker} makes ({waited_s:.0f} s so far)"
        )

    if found := patience.until(ask, tell, step.timeout_s):
        return found[0]
    hours = step.timeout_s / 3600
    return _refused(host, f"{store.builder(stored.key)} did not build it within {hours:.0f} h")


def _another_comes_first(host: Host, stored: Stored, turn: Turn) -> bool:
    """Tell whether an interrupted run's build continues at another host of this run."""
    failed = {failed.name for failed in host.state.failed_hosts}
    others = _fleets[stored.key].need - failed - {host.name} if stored.key in _fleets else set()
    return turn.builder in others


def _elected(
    host: Host, stored: Stored, turn: Turn, build: Callable[[], str | None], report: Report
) -> StoredRelease | str | None:
    """Do what this host has to do and no other does: fetch the release, build it, or refuse."""
    entry = store.find(stored.key) or _from_another(host, stored)
    if entry is None and stored.otherwise is None:
        turn.give_to(host.name)
        return _built(host, stored, turn, build, report)
    turn.end()
    return entry or _refused(host, str(stored.otherwise))


def _refused(host: Host, problem: str) -> str:
    say(host, problem, "red")
    return problem


def _from_another(host: Host, stored: Stored) -> StoredRelease | None:
    """Return the release of another host of this run; None where no host has it."""
    fleet = _fleets.get(stored.key, _Fleet())
    for other in [host for host in fleet.have if host not in host.state.failed_hosts]:
        say(host, f"{other.name} has release {stored.key}: fetching it into the store")
        entry = _fetched(other, stored)
        if isinstance(entry, StoredRelease):
            return entry
        say(host, f"{other.name} cannot give it: {entry}", "yellow")
    return None


def _built(
    host: Host, stored: Stored, turn: Turn, build: Callable[[], str | None], report: Report
) -> str | None:
    """Build on this host, and fetch the release into the store; return an error message or None."""
    say(host, f"building release {stored.key} for all that need it")
    report.write("build", host=host.name, release=stored.key, state="begun", problem=None)
    problem = build()
    state = "failed" if problem else "done"
    report.write("build", host=host.name, release=stored.key, state=state, problem=problem)
    if problem is None:
        _fleets.setdefault(stored.key, _Fleet()).have.append(host)
        entry = _fetched(host, stored)
        if not isinstance(entry, StoredRelease):
            say(host, f"it cannot be fetched into the store: {entry}", "yellow")
    turn.end()
    return problem


def _fetched(host: Host, stored: Stored) -> StoredRelease | str:
    """Fetch a host's release into the store; return it or an error message."""
    query = {"release": stored.query["release"]}
    ok, output = connection.run(host, "pack_release", query, PACK_TIMEOUT_S)
    if not ok:
        return output.strip() or "it could not be packed"
    try:
        packed = remote.answer(output, path=str, sha256=str)
    except ValueError as error:
        return f"its answer cannot be read: {error}"
    path, sha256 = packed["path"], packed["sha256"]
    arrived = store.folder() / f"{stored.key}.fetched"
    try:
        with _Limited(arrived, "wb") as file:
            host.get_file(path, file)
        return store.take(arrived, stored.key, sha256)
    except (OSError, SSHException, ConnectError, StoreError) as error:
        return str(error) or type(error).__name__
    finally:
        arrived.unlink(missing_ok=True)
        connection.run(host, "remove_files", {"paths": [path]}, PACK_TIMEOUT_S)
