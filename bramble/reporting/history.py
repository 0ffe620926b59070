"""What kept reports have of each host: the status of its checks and its figures, run by run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard, get_args

from bramble import report
from bramble.checks import Status
from bramble.figures import Figures, believed
from bramble.sanitize import sanitize

RUNS = 30
"""How many runs are drawn; more would neither be seen on a telephone nor be read in no time."""

UNREACHED = "ssh.reachable"
"""The check of a host that could not be looked at, which `bramble verify` tells of it."""

_NO_LOOK = ("unreachable", "refused", "failed")
_MOST_FILES = 20 * RUNS
_LAST_S = 253_402_300_799  # of the year 9999
_STATUSES = get_args(Status)


@dataclass(frozen=True)
class Look:
    """What one run found on one host: statuses by `role.check`, and figures."""

    at_s: float
    statuses: Mapping[str, Status]
    figures: Figures = field(default_factory=Figures)


@dataclass(frozen=True)
class Benchmarks:
    """Times in seconds since 1970, each with the median speed of answers, of one model."""

    model: str
    speeds: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class History:
    """The looks at each host, oldest first, its benchmarks, and the files that cannot be read."""

    looks: Mapping[str, tuple[Look, ...]] = field(default_factory=dict)
    benchmarks: Mapping[str, Benchmarks] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()


def kept(folder: Path) -> History:
    """Read the last reports of a folder."""
    found, unreadable, runs = dict[str, list[Look]](), list[str](), 0
    # Their names begin with date and time.
    for file in sorted(folder.glob("*.jsonl"), reverse=True)[:_MOST_FILES]:
        try:
            several = looks(report.read(file))
        except (OSError, ValueError, RecursionError):
            unreadable.append(sanitize(file.name))
            continue
        for host, look in several.items():
            found.setdefault(host, []).append(look)
        runs += bool(several)
        if runs == RUNS:
            break
    by_time = {
        host: tuple(sorted(all_of, key=lambda look: look.at_s)) for host, all_of in found.items()
    }
    return History(by_time, unreadable=tuple(unreadable))


def looks(events: Iterable[Any]) -> dict[str, Look]:
    """Return what the events of one run say of each host that it checked."""
    found, failed, figures = dict[str, Look](), dict[str, Look](), dict[str, Figures]()
    for event in events:
        if not isinstance(event, dict):
            raise ValueError("a line of it is no event")
        kind, host, at_s = event.get("event"), str(event.get("host")), event.get("at")
        if kind == "figures":
            figures[host] = believed(event)
        elif kind == "result" and _is_time(at_s):
            before = found[host].statuses if host in found else {}
            found[host] = Look(at_s, {**before, **dict(_status(event))})
        elif kind == "host" and event.get("state") in _NO_LOOK and _is_time(at_s):
            failed[host] = Look(at_s, {UNREACHED: "fail"})
    checked = {
        host: replace(look, figures=figures.get(host, Figures())) for host, look in found.items()
    }
    return failed | checked


def _is_time(said: Any) -> TypeGuard[float]:
    return isinstance(said, int | float) and 0 <= said <= _LAST_S


def _status(event: Mapping[str, Any]) -> Iterator[tuple[str, Status]]:
    if event.get("status") in _STATUSES:
        yield sanitize(f"{event.get('role')}.{event.get('check')}"), event["status"]
