"""What ran when, by whom and with what result: the kept reports, read one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bramble import report

_FILE = re.compile(r"\d{8}-\d{6}-\d+(-\w+)?\.jsonl")


@dataclass(frozen=True)
class Did:
    """What a run did on one host: its state, the steps that were done, and why it failed."""

    state: str
    steps: tuple[str, ...] = ()
    why: str = ""


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
        return Did("unfinished", steps)
    return Did("changed" if host in end["changed"] else "unchanged", steps)


def _why(ours: list[dict[str, Any]]) -> str:
    """Return the last reason that the report gives, on one line."""
    said = [
        event.get("why") if event["event"] == "host" else event.get("problem") for event in ours
    ]
    return next((" ".join(why.split()) for why in reversed(said) if why), "see the report")
