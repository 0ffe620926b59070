"""Start, list and remove virtual Pis."""

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bramble.virtual import (
    apt,
    identity,
    kinds,
    layers,
    making,
    paths,
    processes,
    requirements,
    spec,
    starting,
)
from bramble.virtual.backend import Desired, Progress
from bramble.virtual.errors import VirtualPiError
from bramble.virtual.model import (
    PREFIXES,
    Kind,
    VirtualNode,
    address_of,
    in_order,
    kind_of,
    names_for,
    port_of,
    up_command,
)


def quiet(_line: str) -> None:
    """Report nothing."""


def up(
    names: Sequence[str] | int = 1,
    board: str = "pi5",
    fault: str | None = None,
    clone_of: str | None = None,
    ccache: bool = True,
    on_progress: Progress = quiet,
    kind: Kind = "container",
    release: str | None = None,
) -> list[VirtualNode]:
    """Start virtual Pis and wait until each answers on ssh; those that run are left alone.

    Without a release, clones have that of their source, and other new nodes Bookworm.
    """
    wanted = names_for(names, kind) if isinstance(names, int) else list(in_order(names))
    check_kind(wanted, kind)
    require(kind)
    backend = kinds.BACKENDS[kind]
    desired = Desired(board, fault, clone_of, ccache, making.release_of(release, clone_of))
    making.check(desired)
    backend.check(desired)
    host = apt.read_host()
    # Before the lock: an image can take minutes, and other nodes come and go meanwhile.
    base = backend.ensure_image(host, desired.release, on_progress)
    with _locked(on_progress):
        for name in wanted:
            if not spec.runs(name):
                backend.refuse_foreign(name)
        identity.ensure_client_key()
        making.make_new(backend, wanted, desired, base, on_progress)
        backend.ensure_services(host, on_progress)
        started = _start(wanted)
    _wait(started, on_progress)
    return [node for node in nodes() if node.name in wanted]


def check_kind(names: Sequence[str], kind: Kind) -> None:
    """Refuse names of the other kind."""
    for name in names:
        if kind_of(name) != kind:
            mend = "give" if kind == "container" else "leave out"
            raise VirtualPiError(
                f"{name} is the name of a {kind_of(name)}, and a {kind} was asked for: "
                f"{mend} --machine, or use {PREFIXES[kind]}-1 and so on"
            )


def _start(wanted: Sequence[str]) -> list[spec.Spec]:
    """Start those that do not run; return them."""
    stopped = [node for node in map(spec.load, wanted) if not node.running()]
    for node in stopped:
        starting.start(node)
    starting.wait_for_supervisors(stopped)
    return stopped


def _wait(started: Sequence[spec.Spec], on_progress: Progress) -> None:
    """Wait until each answers; without the lock, as a machine's boot takes a minute."""
    begun = time.monotonic()
    starting.wait_for_ssh(started)
    if started:
        on_progress(f"{len(started)} up after {time.monotonic() - begun:.1f} s")


def require(kind: Kind = "container") -> None:
    """Refuse, with one sentence for each thing that is missing, where a kind cannot run."""
    lacks = requirements.missing(kinds.BACKENDS[kind].needs)
    if lacks:
        raise VirtualPiError("\n".join(lacks))


@contextmanager
def _locked(on_progress: Progress) -> Iterator[None]:
    """Hold the lock that lets one `up` or `down` at a time run on this machine."""
    paths.nodes_dir().mkdir(parents=True, exist_ok=True)
    with (paths.state_dir() / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress("waiting for another 'bramble virtual' command to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def nodes() -> list[VirtualNode]:
    """Return every virtual Pi of this machine, running or powered off."""
    return [_node(found) for found in spec.all_specs()]


def running(name: str) -> VirtualNode:
    """Return this node; raise VirtualPiError if it does not run."""
    node = _node(spec.load(name))
    if node.state != "running":
        raise VirtualPiError(f"{name} is powered off: '{up_command(name)}' starts it")
    return node


def _node(made: spec.Spec) -> VirtualNode:
    record = made.running()
    uptime = None
    if record and made.booted.exists():
        uptime = round(time.time() - made.booted.stat().st_mtime, 1)
    return VirtualNode(
        name=made.name,
        address=address_of(made.name),
        board=made.board,
        fault=made.fault,
        state="running" if record else "stopped",
        pid=record.pid if record else None,
        uptime=uptime,
        kind=made.kind,
        port=port_of(made.name),
        release=made.release,
    )


def down(names: Sequence[str] | None = None, on_progress: Progress = quiet) -> list[str]:
    """End nodes and delete their files, all nodes without names; return which were ended.

    With the last node of a kind its proxy ends too; with the last container the bridge goes.
    """
    there = spec.all_names()
    meant = there if names is None else in_order(names)
    concerned: set[Kind] = {kind_of(name) for name in meant} or {"container"}
    for kind in concerned:
        require(kind)
    with _locked(on_progress):
        there = spec.all_names()
        ended = there if names is None else [name for name in in_order(names) if name in there]
        records = [record for name in ended if (record := _record(name))]
        for record in records:
            processes.ask_to_end(record)
        for record in records:
            processes.end(record, grace_s=10)
        for name in ended:
            kinds.backend_of(name).release(name)
            layers.discard(paths.node_dir(name))
        for kind in concerned:
            kinds.BACKENDS[kind].tidy()
        identity.write_known_hosts()
    return list(ended)


def _record(name: str) -> processes.ProcessRecord | None:
    return processes.load(paths.node_dir(name) / "supervisor.json")
