"""Brings virtual Pis up, tells of them and takes them down."""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bramble.virtual import (
    apt,
    cgroups,
    clones,
    identity,
    layers,
    limits,
    making,
    network,
    paths,
    processes,
    proxy,
    requirements,
    rootfs,
    spec,
    ssd,
    starting,
)
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.model import Node, address_of, in_order, names_for

Progress = Callable[[str], None]


def quiet(_line: str) -> None:
    """Tells nobody."""


def up(
    names: Sequence[str] | int = 1,
    board: str = "pi5",
    fault: str | None = None,
    clone_of: str | None = None,
    ccache: bool = True,
    on_progress: Progress = quiet,
) -> list[Node]:
    """Starts virtual Pis and waits until each answers on ssh; those that run are left alone."""
    require()
    wanted = names_for(names) if isinstance(names, int) else list(in_order(names))
    wish = making.Wish(board, fault, clone_of, ccache)
    wish.check()
    with _locked(on_progress):
        starting.refuse_foreign(name for name in wanted if not spec.runs(name))
        host = apt.read_host()
        base = rootfs.ensure(host, on_progress)
        identity.ensure_client_key()
        making.make_new(wanted, wish, base, on_progress)
        making.ensure_ccache()
        limits.ensure(on_progress)
        network.ensure_bridge()
        proxy.ensure(host)
        started = [node for node in map(spec.load, wanted) if not node.running()]
        begun = time.monotonic()
        for node in started:
            starting.start(node)
        starting.wait_for_ssh(started)
    if started:
        on_progress(f"{len(started)} up in {time.monotonic() - begun:.1f} s")
    return [node for node in nodes() if node.name in wanted]


def require() -> None:
    """Refuses, in one sentence for each lack, where virtual Pis cannot run."""
    lacks = requirements.missing()
    if lacks:
        raise VirtualPiError("\n".join(lacks))


@contextmanager
def _locked(on_progress: Progress) -> Iterator[None]:
    """One `up` or `down` at a time on this machine."""
    paths.nodes_dir().mkdir(parents=True, exist_ok=True)
    with (paths.state_dir() / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress("waiting for another 'bramble virtual' command to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def nodes() -> list[Node]:
    """Every virtual Pi of this machine, running or powered off."""
    return [_node(found) for found in spec.all_specs()]


def running(name: str) -> Node:
    """This node, which must run."""
    node = _node(spec.load(name))
    if node.state != "running":
        raise VirtualPiError(f"{name} is powered off: 'bramble virtual up {name}' starts it")
    return node


def _node(made: spec.Spec) -> Node:
    record = made.running()
    uptime = None
    if record and made.booted.exists():
        uptime = round(time.time() - made.booted.stat().st_mtime, 1)
    return Node(
        name=made.name,
        address=address_of(made.name),
        board=made.board,
        fault=made.fault,
        state="running" if record else "stopped",
        pid=record.pid if record else None,
        uptime=uptime,
    )


def down(names: Sequence[str] | None = None, on_progress: Progress = quiet) -> list[str]:
    """Ends nodes and throws their files away, all of them without names; tells which it ended.

    With the last node the proxy, the bridge and the frozen layers go too.
    """
    require()
    with _locked(on_progress):
        there = spec.all_names()
        ended = there if names is None else [name for name in in_order(names) if name in there]
        records = [record for name in ended if (record := _record(name))]
        for record in records:
            processes.ask_to_end(record)
        for record in records:
            processes.end(record, grace_s=10)
        for name in ended:
            _forget(name)
        clones.discard_unused()
        if not spec.all_names():
            proxy.stop()
            network.remove_idle_bridge()
        identity.write_known_hosts()
    return list(ended)


def _record(name: str) -> processes.ProcessRecord | None:
    return processes.load(paths.node_dir(name) / "supervisor.json")


def _forget(name: str) -> None:
    """Waits until the kernel let go of the node's network and disk, then removes its files."""
    folder = paths.node_dir(name)
    # A node of another state folder may bear the name: only what has no supervisor is a rest.
    if not any(cgroups.keepers(name)):
        cgroups.clear(name, cgroups.mounted())
    image = folder / ssd.IMAGE
    processes.wait_until(
        lambda: not network.port_exists(name) and not ssd.devices(image), deadline_s=10
    )
    layers.discard(folder)
