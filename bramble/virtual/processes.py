"""Processes that outlive the command that started them, known by number and start time."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessRecord:
    """A process by number and start time: a number alone may be another's after a restart."""

    pid: int
    start_ticks: int
    boot_id: str


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def record_of(pid: int) -> ProcessRecord | None:
    """Return the record of a living process, None when there is none (or only a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses and may hold spaces: count from its end.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return ProcessRecord(pid, int(fields[19]), boot_id())


def is_alive(record: ProcessRecord | None) -> bool:
    return record is not None and record_of(record.pid) == record


def save(record: ProcessRecord, path: Path) -> None:
    """Write the record so that a reader never sees half of it."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(record)))
    partial.rename(path)


def load(path: Path) -> ProcessRecord | None:
    """Return the record of a living process, None when the file or the process is gone."""
    try:
        record = ProcessRecord(**json.loads(path.read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None
    return record if is_alive(record) else None


def ask_to_end(record: ProcessRecord) -> None:
    """Send SIGTERM, if the process is still the one that was recorded."""
    if is_alive(record):
        with suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGTERM)


def end(record: ProcessRecord, *, grace_s: float) -> None:
    """Ask the process to end, and kill it when it has not after `grace_s`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_alive(record):
            return
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
        wait_until(lambda: not is_alive(record), deadline_s=grace_s)


def wait_until(
    condition: Callable[[], bool], *, deadline_s: float, interval_s: float = 0.05
) -> bool:
    """Poll until the condition holds or the time is over; return whether it holds."""
    end_at = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_at:
            return False
        time.sleep(interval_s)
    return True
