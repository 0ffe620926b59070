"""What ran when, by whom and with what result, and where it ended early: the kept reports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from bramble import computer, report

_FILE = re.compile(r"\d{8}-\d{6}-\d+(-\w+)?\.jsonl")
_DEPLOY = "node"
MOST_LOOKED_AT = 50
"""Runs among which a host's last deploy is looked for: all of them may take long to read."""


@dataclass(frozen=True)
class Did:
    """What a run did on one host: its state, the steps that were done, and why it failed.

    `standing` is where an unfinished one was; empty: before its first step.
    """

    state: str
    steps: tuple[str, ...] = ()
    why: str = ""
    standing: str = ""


@dataclass(frozen=True)
class Entry:
    """One run; killed it has no `ended_s`, and `is_whole` is False where it did not reach its end."""

    file: Path
    began_s: float
    ended_s: float | None
    who: str
    command: str
    is_whole: bool
    hosts: Mapping[str, Did] = field(default_factory=dict)

    @property
    def is_deploy(self) -> bool:
        """Whether it was to bring hosts to their plan."""
        named = self.file.stem.rpartition("-")[2] == _DEPLOY
        return named or f"deploys/{_DEPLOY}.py" in self.command

    @property
    def is_under_way(self) -> bool:
        """Whether it may run still: by its process, where that is one of this computer."""
        is_here = self.ended_s is None and self.who == computer.who()
        return is_here and computer.is_running(int(self.file.stem.split("-")[2]))


def interrupted(folder: Path, hosts: Sequence[str]) -> list[tuple[str, Entry]]:
    """Return the hosts, of these or of all, whose last deploy ended early, each with that run."""
    seen: set[str] = set()
    found = []
    several = (entry for entry in entries(folder) if isinstance(entry, Entry))
    for entry in islice(several, MOST_LOOKED_AT):
        for host, did in entry.hosts.items() if entry.is_deploy else ():
            if host in seen or (hosts and host not in hosts):
                continue
            seen.add(host)
            if did.state == "unfinished" and not entry.is_under_way:
                found.append((host, entry))
        if hosts and seen.issuperset(hosts):
            break
    return found


def entries(folder: Path) -> Iterator[Entry | Path]:
    """Yield the runs of a folder of reports, the newest first; of one that cannot be read its file."""
    there = folder.iterdir() if folder.is_dir() else ()
    for file in sorted((f for f in there if _FILE.fullmatch(f.name)), reverse=True):
        try:
            events = list(report.read(file))
            found = _entry(file, events) if events else None
        except (ValueError, TypeError, KeyError, AttributeError, OSError):
            yield file
        else:
            if found is not None:
                yield found


def _entry(file: Path, events: list[dict[str, Any]]) -> Entry | None:
    begun = next((event for event in events if event["event"] == "run"), None)
    if begun is None:
        return None
    ends = [event for event in events if event["event"] == "end"]
    end = ends[-1] if ends else None
    return Entry(
        file=file,
        began_s=float(begun["at"]),
        ended_s=float(end["at"]) if end else None,
        # Reports of an earlier bramble do not tell.
        who=str(begun.get("who") or "unknown"),
        command=str(begun.get("command") or "".join(file.stem.split("-", 3)[3:]) or "unknown"),
        is_whole=bool(end and end.get("complete")),
        hosts={str(name): _did(name, events, end) for name in begun["hosts"]},
    )


def _did(host: str, events: list[dict[str, Any]], end: Mapping[str, Any] | None) -> Did:
    ours = [event for event in events if event.get("host") == host]
    steps = tuple(event["step"] for event in ours if event["event"] == "step")
    if end is not None and host in end["failed"]:
        return Did("failed", steps, _why(ours))
    if end is None or not end.get("complete"):
        return Did("unfinished", steps, standing=_standing(ours))
    return Did("changed" if host in end["changed"] else "unchanged", steps)


def _standing(ours: list[dict[str, Any]]) -> str:
    """Return where a run was on a host that it did not bring to its end, empty before the first step."""
    last = next((event for event in reversed(ours) if event["event"] in ("progress", "step")), None)
    if last is None:
        return ""
    began = [event for event in ours if event["event"] == "progress"]
    if not began:  # as an earlier bramble reported
        return f"after {last['step']}"
    now = began[-1]
    word = "in" if last is now else "after"
    return f"{word} step {now['number']} of {now['of']} ({now['step']})"


def _why(ours: list[dict[str, Any]]) -> str:
    """Return the last reason that the report gives, on one line."""
    said = [
        event.get("why") if event["event"] == "host" else event.get("problem") for event in ours
    ]
    return next((" ".join(why.split()) for why in reversed(said) if why), "see the report")
