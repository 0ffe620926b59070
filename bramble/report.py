"""The report of a run: JSON lines, each written out at once, so that an ended run leaves what it knew.

Every line is an object with `event` and `at` (seconds since 1970):

    run      hosts, who, command     the run begins: who began it where, and with which command
    host     host, state, why        connected, unreachable, refused or failed
    step     host, step, why, state, problem
                                     the end of a step that had something to do: done or failed
    progress host, step, number, of, percent, left_s
                                     a step begins, or its node tells how far it is
    plan     host, board, pins, refused, packages, files, steps
    build    host, release, state, problem
                                     a node builds for all that need it: begun, then done or failed
    transfer host, release, way, source
                                     a stored release reached a node: pulled (from where) or sent
    fetch    host, sha256, source    a node has a model: from which node, address, or your computer
    audit    host, state, why, looked_at, items
                                     what an audit found of a host
    result   host, role, check, status, want, got, remedy
    serves   host, release           the release that is current on a node when it is checked
    held     host, release, model    engine.lock holds a host to a release or to a model from now on
    models   host, folder, free_bytes, models
                                     the model files of a node, read back where that was asked for
    race     host, soc, model, releases, runs
    bench    host, file              a benchmark is kept, and where
    end      changed, failed         names of hosts; always the last line
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bramble import project
from bramble.sanitize import clean

STOPPED = 130
"""The exit code of a run that was interrupted, as shells have it."""

VARIABLE = "BRAMBLE_REPORT"
"""Names the report's file; not set: a file of its own for each run in the project's reports/."""
COMMAND = "BRAMBLE_COMMAND"
"""Has the command line that a run belongs to; not set: pyinfra was called with deploys."""
KEEP = "BRAMBLE_KEEP_REPORTS"
"""Says of how many runs reports are kept."""
KEPT, FEWEST_KEPT = 500, 10
"""By default; fewer might be those of runs that are under way."""

_NAME = re.compile(r"(?P<run>\d{8}-\d{6}-\d+(-\w+)?)\.(jsonl|log|html)")


def path() -> Path:
    """Return the path of this run's report."""
    named = os.environ.get(VARIABLE)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path(named) if named else project.reports() / f"{stamp}-{os.getpid()}.jsonl"


def new(name: str, folder: Path | None = None) -> Path:
    """Return the path of a new report of this process, which has the name of a deploy or command.

    It is in the folder that is named, or among the project's.
    """
    return (
        folder or project.reports()
    ) / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{name}.jsonl"


def command() -> str:
    """Return the command line of this run; of pyinfra's own the deploys alone, as data may be secret."""
    deploys = [word for word in sys.argv[1:] if word.endswith(".py")]
    return os.environ.get(COMMAND) or " ".join(["pyinfra", *deploys])


def keep() -> int:
    """Return of how many runs reports are kept, 0 for all; raise ValueError for what is no number."""
    said = os.environ.get(KEEP) or str(KEPT)
    if not re.fullmatch(r"\d{1,6}", said) or 0 < int(said) < FEWEST_KEPT:
        raise ValueError(
            f"{KEEP}: found {said!r}, allowed: {FEWEST_KEPT} or more, or 0 to keep all"
        )
    return int(said)


def rotate(folder: Path, kept: int) -> None:
    """Remove reports, logs and charts of all but the newest runs; nothing else in the folder."""
    named = [(file, _NAME.fullmatch(file.name)) for file in folder.iterdir()]
    runs: dict[str, list[Path]] = {}
    for file, found in named:
        if found:
            runs.setdefault(found["run"], []).append(file)
    for run in sorted(runs)[: -kept or None] if kept else ():
        for file in runs[run]:
            file.unlink(missing_ok=True)


class Report:
    """Appends events to the report's file."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file

    def write(self, event: str, **values: Any) -> None:
        """Append one event."""
        self.write_all(event, [values])

    def write_all(self, event: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append several events of one kind at once."""
        head = {"event": event, "at": round(time.time(), 3)}
        # Commands print what they find here, and nodes say much of it.
        lines = "".join(f"{json.dumps(clean({**head, **row}))}\n" for row in rows)
        with self.file.open("a", encoding="utf-8") as report:
            report.write(lines)


def read(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a report, without a last line that was cut off."""
    if not file.exists():
        return
    with file.open(encoding="utf-8") as report:
        for line in report:
            if line.endswith("\n"):
                yield json.loads(line)
