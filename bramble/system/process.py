"""Processes of a node, as the one look tells them: what runs, as whom, with what, and held by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bramble.system import parse


@dataclass(frozen=True)
class Process:
    """A unit's main process: what it really runs, as whom, and its BRAMBLE_ variables.

    `gone` are files that it has mapped and that have been removed or replaced since, `models` those of
    models that are there, by the paths that the kernel knows them by; `variables` the
    names of all of its environment. `status` is what /proc/PID/status says by its words, `mounts` what
    it sees mounted, `own_namespaces` those that it does not share with systemd (None: not told), and
    `tasks_max` its cgroup's limit, None where none is enforced.
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
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A process that runs a program of a name that was asked for."""

    pid: int
    exe: str
    user: str
    cgroup: str


def read(part: Mapping[str, Any] | None) -> Process | None:
    """The process in what the probe printed of it, None for none."""
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
    )
