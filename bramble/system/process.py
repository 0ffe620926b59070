"""Processes of a node as the probe reports them: what runs, as whom, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bramble.system import parse


@dataclass(frozen=True)
class Process:
    """A unit's main process: the program that runs, its user, and its BRAMBLE_ variables.

    `gone` are files that it has mapped and that were removed or replaced since; `models` the model
    files that it has mapped and that exist, by the kernel's paths; `variables` the names of its whole
    environment. `status` holds the fields of /proc/PID/status, `mounts` its mount table,
    `own_namespaces` the namespaces that it does not share with systemd (None: unknown), and
    `tasks_max` and `memory_max` its cgroup's limits, None where the kernel keeps none.
    """

    exe: str
    exe_sha256: str
    uid: int
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    gone: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    status: Mapping[str, str] = field(default_factory=dict)
    oom_score_adj: int = 0
    mounts: tuple[parse.Mount, ...] = ()
    own_namespaces: tuple[str, ...] | None = None
    tasks_max: str | None = None
    memory_max: str | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A running process, found by its program's name.

    `models` are the model files that it has mapped and that exist, by the kernel's paths, `gone` the
    files that were removed or replaced since, and `locked` is the kernel's VmLck, empty for none told.
    """

    pid: int
    exe: str
    user: str
    cgroup: str
    models: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    locked: str = ""


def programs(part: Mapping[str, Any]) -> Mapping[str, tuple[Program, ...]]:
    """Parse what the probe printed of processes by their programs' names."""
    return {name: tuple(_program(**one) for one in found) for name, found in part.items()}


def _program(models: Any = (), gone: Any = (), **more: Any) -> Program:
    return Program(**more, models=tuple(models), gone=tuple(gone))


def read(part: Mapping[str, Any] | None) -> Process | None:
    """Parse what the probe printed of a process; return None where there was none."""
    if part is None:
        return None
    own = part["own_namespaces"]
    return Process(
        part["exe"],
        part["exe_sha256"],
        part["uid"],
        tuple(part["argv"]),
        part["environ"],
        tuple(part.get("gone", ())),
        variables=tuple(part["variables"]),
        status=parse.status(part["status"]),
        oom_score_adj=part["oom_score_adj"],
        mounts=parse.mountinfo(part["mountinfo"]),
        own_namespaces=None if own is None else tuple(own),
        tasks_max=part["tasks_max"],
        memory_max=part.get("memory_max"),
        models=tuple(part.get("models", ())),
    )
