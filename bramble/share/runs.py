"""What kept reports tell of a host without quoting it: steps with their seconds, checks, benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bramble import report

_MOST_FILES = 200
_STATES = ("done", "failed")


@dataclass(frozen=True)
class Step:
    """A step that had something to do, and the seconds since its host was heard of before."""

    name: str
    state: str
    seconds: float


@dataclass(frozen=True)
class Runs:
    """A host's steps in the order of its runs, the last status of each check, and the last figures."""

    steps: tuple[Step, ...] = ()
    checks: Mapping[str, str] | None = None
    figures: Mapping[str, float] | None = None


def of_host(folder: Path, host: str, checks: Iterable[str]) -> Runs:
    """Read the kept reports; checks of roles that did not come with bramble are left out."""
    known = frozenset(checks)
    found: list[Step] = []
    last: dict[str, str] = {}
    figures: dict[str, float] = {}
    for events in _several(folder):
        found += _steps(events, host)
        for event in events:
            if event.get("host") != host:
                continue
            name = f"{event.get('role')}.{event.get('check')}"
            if event["event"] == "result" and name in known:
                last[name] = str(event.get("status"))
            if event["event"] == "figures":
                figures = {
                    key: float(value)
                    for key, value in event.items()
                    if key not in ("at", "event", "host") and isinstance(value, int | float)
                }
    return Runs(tuple(found), last, figures)


def _several(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the events of the last reports, the oldest first; one that cannot be read has none."""
    for file in sorted(folder.glob("*.jsonl"))[-_MOST_FILES:]:
        try:
            yield [
                event for event in report.read(file) if isinstance(event, dict) and "event" in event
            ]
        except (OSError, ValueError):
            continue


def _steps(events: list[dict[str, Any]], host: str) -> Iterator[Step]:
    before: float | None = None
    for event in events:
        if host != event.get("host") and host not in (event.get("hosts") or ()):
            continue
        at = event.get("at")
        if not isinstance(at, int | float):
            continue
        if event["event"] == "step" and event.get("state") in _STATES:
            seconds = round(at - before, 1) if before is not None else 0.0
            yield Step(str(event.get("step")), str(event["state"]), seconds)
        before = float(at)


def bench(kept: Mapping[str, Any], models: Iterable[str]) -> str:
    """Return what a kept benchmark measured, as lines; `models` are those whose names tell nothing."""
    name = str((kept.get("model") or {}).get("name"))
    known = any(name.startswith(model) for model in models)
    lines = [f"at {str(kept.get('at'))[:10]}", f"model {name if known else '(one of your own)'}"]
    for part in ("board", "release", "bandwidth", "seen"):
        told = (kept.get(part) or {}).items()
        lines += [f"{part} {key} {value}" for key, value in told if key != "problem"]
    lines += [
        f"{key} {kept.get(key)}"
        for key in ("threads", "ubatch_tokens", "prompt_tokens", "answer_tokens")
    ]
    for number, run in enumerate(kept.get("runs") or (), 1):
        lines += [
            f"run {number} {key} {value}"
            for key, value in run.items()
            if value not in (None, [], {}) and key not in ("busiest", "problem")
        ]
    return "\n".join(lines)
