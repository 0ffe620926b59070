"""What to do about a difference: steps as data, made by pure functions and executed elsewhere.

A step that has nothing to do says so (`why` is None) and costs no remote command. As steps are data,
the same ones are shown by `bramble plan`, compared in tests and run by the deploy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bramble.difference import Difference
from bramble.plan import File, NodePlan, identity
from bramble.snapshot import FileState, Snapshot, Unknown


@dataclass(frozen=True)
class Upload:
    """A file of this computer that a step needs on the node, in the uploading user's own hands.

    The program that takes it over checks its sha256, because others may write there.
    """

    local: Path
    remote: str


@dataclass(frozen=True)
class Stored:
    """An alternative to a step's program: an archive of this computer's store, to be installed.

    Nodes pull it, from `mirror` first where there is one; those that cannot are sent it to `remote`.
    Where the store has none, one of the hosts that need it runs its step's own program, and the result
    is fetched into the store; with `otherwise` none does, and the step fails with that message.
    A step with nothing to do has this too: its node can provide what others need.
    """

    key: str
    program: str
    query: Mapping[str, Any] = field(repr=False)
    remote: str
    otherwise: str | None = None
    mirror: str | None = None


@dataclass(frozen=True)
class Shared:
    """A file that the hosts of a run share among themselves, identified by its sha256.

    `sources` are tried in order if no host has it, after this computer's own copy. `there_bytes` of it
    were on the node at the look, and `wireless` says whether its default route is over Wi-Fi.
    `addresses` are all of the node's, from which it may connect to another one. A step with nothing to
    do has this too: its node can provide it.
    """

    sha256: str
    path: str
    size_bytes: int | None
    there_bytes: int
    wireless: bool
    sources: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One change of a node: the program of `bramble/remote/` that makes it, and why it is needed.

    A `detached` step runs as a transient systemd unit: it outlives the connection, and a run that
    comes later follows the one under way. `diffs` are how it changes files; no secret is in them.
    A step with `confirm` is on trial: the node reverts it by itself unless its program is run with
    that query over a new connection, which proves that the node still lets us in.
    A step with a `reboot_deadline_s` may have the node reboot: it lasts until the node answers again.
    After one that says `look_again` the steps of later roles are decided by a new look at the node.
    `writes` are the files that a step with something to do writes or removes.
    One that `interrupts` keeps the model from answering: gateways are to send nothing there meanwhile.
    `note` says why a step that might be expected has nothing to do. A refusal that is `at_once` holds
    for the whole node: no step of any role is carried out.
    `sent_at` names the value of the query that is filled in when the program is sent: the time of that
    moment by this computer's clock, in seconds since 1970. A plan may be much older by then.
    """

    name: str
    why: str | None
    program: str = ""
    query: Mapping[str, Any] = field(default_factory=dict, repr=False)
    detached: bool = False
    timeout_s: int = 120
    uploads: tuple[Upload, ...] = ()
    writes: tuple[str, ...] = ()
    diffs: tuple[Difference, ...] = ()
    reboot_deadline_s: int | None = None
    confirm: Mapping[str, Any] | None = field(default=None, repr=False)
    look_again: bool = False
    note: str | None = None
    sent_at: str | None = None
    at_once: bool = False
    stored: Stored | None = None
    shared: Shared | None = None
    interrupts: bool = False


def write_files(name: str, files: Sequence[File], snapshot: Snapshot) -> Step:
    """Write whole files with their planned text, mode and owner, each atomically."""
    differing = [file for file in files if not _agrees(file, snapshot.file(file.path))]
    if not differing:
        return Step(name, None)
    query = {"files": [sent(file) for file in differing]}
    paths = tuple(file.path for file in differing)
    diffs = tuple(_difference(file, snapshot.file(file.path)) for file in differing)
    return Step(name, ", ".join(paths), "write_files", query, writes=paths, diffs=diffs)


def sent(file: File) -> dict[str, Any]:
    """Return a file as programs that write whole files are told of it."""
    return {
        "path": file.path,
        "text": file.text,
        "mode": file.mode,
        "owner": file.owner,
        "group": file.group,
    }


def _agrees(file: File, seen: FileState | Unknown | None) -> bool:
    if seen is None or isinstance(seen, Unknown):
        return False
    return (seen.kind, seen.sha256, seen.mode, seen.owner, seen.group) == (
        "file",
        file.sha256,
        file.mode,
        file.owner,
        file.group,
    )


def _difference(file: File, seen: FileState | Unknown | None) -> Difference:
    known = seen if isinstance(seen, FileState) else None
    if file.secret:
        before = (known.sha256 if known else None) or "none"
        hashes = (f"sha256 {before[:12]}", f"{file.sha256[:12]} (secret)")
        return Difference(file.path, "", "", (hashes,))
    if known is None:
        return Difference(file.path, None, file.text)
    modes = tuple(f"{one.mode:04o} {one.owner}:{one.group}" for one in (known, file))
    attributes = () if modes[0] == modes[1] else ((modes[0], modes[1]),)
    return Difference(file.path, known.text or "", file.text, attributes)


def remove_files(name: str, paths: Sequence[str], snapshot: Snapshot) -> Step:
    """Remove those of our whole files that are there, or of which the node did not say."""
    there = [path for path in paths if snapshot.file(path) is not None]
    if not there:
        return Step(name, None)
    diffs = tuple(
        Difference(path, seen.text or "", None)
        for path in there
        if isinstance(seen := snapshot.file(path), FileState)
    )
    query = {"paths": there}
    return Step(name, ", ".join(there), "remove_files", query, writes=tuple(there), diffs=diffs)


def systemd(
    name: str,
    why: str | None,
    *,
    stop: Sequence[str] = (),
    disable: Sequence[str] = (),
    unmask: Sequence[str] = (),
    mask: Sequence[str] = (),
    reload: bool = False,
    enable: Sequence[str] = (),
    start: Sequence[str] = (),
    restart: Sequence[str] = (),
) -> Step:
    """Run systemctl's verbs on units, in the order of the arguments; nothing without a `why`."""
    if why is None:
        return Step(name, None)
    verbs = {
        "stop": stop,
        "disable": disable,
        "unmask": unmask,
        "mask": mask,
        "enable": enable,
        "start": start,
        "restart": restart,
    }
    query = {verb: list(units) for verb, units in verbs.items()} | {"reload": reload}
    return Step(name, why, "systemd", query, timeout_s=300)


def install_packages(name: str, packages: Sequence[str], snapshot: Snapshot) -> Step:
    """Install the Debian packages that are missing, in one apt run."""
    missing = lacking(packages, snapshot)
    if not missing:
        return Step(name, None)
    return Step(
        name,
        " ".join(missing),
        "apt_install",
        {"packages": missing},
        detached=True,
        timeout_s=3600,
    )


def lacking(packages: Sequence[str], snapshot: Snapshot) -> list[str]:
    """Return the packages that are neither installed nor provided by one that is."""
    there = {} if isinstance(snapshot.packages, Unknown) else snapshot.packages
    provided = {} if isinstance(snapshot.provided, Unknown) else snapshot.provided
    return [name for name in packages if not there.get(name) and name not in provided]


def unit_name(step: Step) -> str:
    """Return the transient unit of a detached step: the same work has the same name in every run."""
    return f"bramble-{step.program.replace('_', '-')}-{identity(dict(step.query))}"


def at_once(several: Iterable[Sequence[Step]]) -> tuple[str, ...]:
    """Return why none of these steps may be executed."""
    return tuple(step.why for steps in several for step in steps if step.at_once and step.why)


def as_dict(plan: NodePlan, steps: Mapping[str, Sequence[Step]]) -> dict[str, Any]:
    """Return a node's plan and steps in the documented JSON form, without secrets."""
    return {
        "host": plan.host,
        "board": {
            "model": plan.board.model,
            "kind": plan.board.kind,
            "memory_mib": plan.board.memory_mib,
            "cores": plan.board.cores,
            "repacks": plan.board.repacks,
        },
        "pins": list(plan.pins),
        "refused": [*plan.refusals, *at_once(steps.values())],
        "warned": list(plan.warnings),
        "packages": list(plan.packages),
        "files": [
            {
                "role": role,
                "path": file.path,
                "mode": f"{file.mode:04o}",
                "owner": f"{file.owner}:{file.group}",
                "text": None if file.secret else file.text,
            }
            for role, part in plan.roles.items()
            for file in part.files
        ],
        "steps": [
            {
                "role": role,
                "step": step.name,
                "why": step.why,
                "note": step.note,
                "diffs": [difference.unified for difference in step.diffs],
            }
            for role, several in steps.items()
            for step in several
        ],
    }
