"""A control group of its own for each node, in a hierarchy as a Pi has it (version 2 only).

The host may have version 1, both, or none mounted: in the private mount namespace of a supervisor
a cgroup2 mount takes the place of whatever is there, and nspawn then gives the node a pure
version 2.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bramble.virtual import processes
from bramble.virtual.commands import run

PRIVATE = Path("/sys/fs/cgroup")
_FAMILY = "bramble"


def mount_private() -> None:
    """Cover this mount namespace's cgroup tree with cgroup2."""
    run("mount", "-t", "cgroup2", "none", str(PRIVATE))


def make(name: str) -> Path:
    """Make the node's group again; move the calling process into a part of its own."""
    clear(name, PRIVATE)
    group = PRIVATE / _FAMILY / name
    group.mkdir(parents=True)
    for parent in (PRIVATE / _FAMILY, group):
        _delegate(parent)
    for part in ("supervisor", "node"):
        (group / part).mkdir()
    enter(group / "supervisor")
    return group / "node"


def leave(name: str) -> None:
    """Move the calling process out of the node's group and remove the group."""
    enter(PRIVATE)
    clear(name, PRIVATE)


def enter(group: Path) -> None:
    """Move the calling process into a group."""
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _delegate(group: Path) -> None:
    """Enable each available controller for the children of a group."""
    for controller in (group / "cgroup.controllers").read_text().split():
        with suppress(OSError):  # the node does without one that cannot be enabled
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def members(name: str) -> Iterator[int]:
    """Yield the node's own processes, as the host numbers them, without its supervisor."""
    return _processes_in(f"/{_FAMILY}/{name}/node")


def supervisors(name: str) -> Iterator[int]:
    """Yield the supervisors of a node of this name, whichever state folder they belong to."""
    return _processes_in(f"/{_FAMILY}/{name}/supervisor")


def _processes_in(group: str) -> Iterator[int]:
    """Yield living processes in a group or below, from /proc: cgroup2 may be mounted nowhere here."""
    inside = f"0::{group}"
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # a process may end while we look
            lines = (place / "cgroup").read_text().splitlines()
            ours = any(line == inside or line.startswith(f"{inside}/") for line in lines)
            if ours and processes.record_of(int(place.name)):
                yield int(place.name)


def kill(name: str) -> None:
    """Kill the node's processes until none is left."""
    processes.wait_until(lambda: not _kill_once(name), deadline_s=10)


def _kill_once(name: str) -> bool:
    """Kill the node's processes; return whether there were any."""
    found = list(members(name))
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def mounted() -> Path | None:
    """Return where this mount namespace has cgroup2, None where it has not."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


@contextmanager
def frozen(name: str) -> Iterator[None]:
    """Freeze the node's processes meanwhile, if it runs and cgroup2 is mounted here."""
    hierarchy = mounted()
    group = hierarchy / _FAMILY / name / "node" if hierarchy else None
    if group is None or not group.is_dir():
        yield
        return
    switch = group / "cgroup.freeze"
    switch.write_text("1")
    try:
        events = group / "cgroup.events"
        processes.wait_until(lambda: "frozen 1" in events.read_text(), deadline_s=10)
        yield
    finally:
        switch.write_text("0")


def clear(name: str, hierarchy: Path | None) -> None:
    """Kill what is left of a node and remove its group, as far as cgroup2 is mounted here."""
    kill(name)
    group = hierarchy / _FAMILY / name if hierarchy else None
    if group:
        processes.wait_until(lambda: _removed(group), deadline_s=5)


def _removed(group: Path) -> bool:
    """Remove the tree, deepest first; return whether it is gone.

    A group stays busy for a moment after its processes ended.
    """
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
    return not group.exists()
