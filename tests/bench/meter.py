"""Run a command to its end, bounded in time, and tell what it cost, what it left running included."""

import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 5.0
kept: set[int] = set()
"""Processes of ours that no measured command left, and that stay."""
# A process begins with its parent's peak as its own, so a small one has to start what is weighed.
WEIGH = """
import os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(pid, 0)
os.write(int(sys.argv[1]), b"%d" % used.ru_maxrss)
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
"""


@dataclass(frozen=True)
class Run:
    """What a command said and what it cost the computer that it ran on."""

    code: int
    output: str
    wall_s: float
    cpu_s: float
    peak_mib: float = 0.0
    """The most memory of the largest of its processes, where that was asked for."""


def adopt_orphans() -> None:
    """Make what measured commands leave running (ssh's ControlPersist masters) our children."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt orphaned processes")


def run(
    argv: Sequence[str | Path],
    deadline_s: float,
    handed_on: Sequence[int] = (),
    **environment: str,
) -> Run:
    """Run a command from the repository's root: wall time until it ended, CPU time of all it began."""
    before, begun = _children_cpu_s(), time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = _start(argv, environment, output, handed_on)
        try:
            code = _wait(process, deadline_s)
            wall_s = time.monotonic() - begun
        finally:
            _end(process)
            _end_orphans()
        output.seek(0)
        return Run(code, output.read(), wall_s, _children_cpu_s() - before)


def weighed(argv: Sequence[str | Path], deadline_s: float, **environment: str) -> Run:
    """Run a command as `run` does, and tell its memory too; what starts it is in its CPU time."""
    with tempfile.TemporaryFile() as told:
        os.set_inheritable(told.fileno(), True)
        start = [sys.executable, "-ISc", WEIGH, str(told.fileno()), *argv]
        done = run(start, deadline_s, handed_on=(told.fileno(),), **environment)
        told.seek(0)
        return replace(done, peak_mib=int(told.read() or 0) / 1024)


def show(argv: Sequence[str | Path], deadline_s: float, **environment: str) -> int:
    """Run a command whose output goes to the person; its exit code."""
    process = _start(argv, environment, sys.stderr)
    try:
        return _wait(process, deadline_s)
    finally:
        _end(process)


def _start(
    argv: Sequence[str | Path],
    environment: Mapping[str, str],
    output: IO[str],
    handed_on: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start in a session of its own, so that Ctrl-C reaches this program and only this one."""
    return subprocess.Popen(
        [str(word) for word in argv],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=handed_on,
    )


def _wait(process: subprocess.Popen[bytes], deadline_s: float) -> int:
    """The exit code, as soon as there is one: Popen's own wait with a timeout polls."""
    handle = os.pidfd_open(process.pid)
    try:
        if not select.select([handle], [], [], deadline_s)[0]:
            raise subprocess.TimeoutExpired(process.args, deadline_s)
    finally:
        os.close(handle)
    return process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with its process group where it still runs."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=GRACE_S)


def _end_orphans() -> None:
    """End and wait for what the command left to us, so that its CPU time is counted."""
    number, give_up = signal.SIGTERM, time.monotonic() + GRACE_S
    while orphans := list(_children()):
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.05)
        for pid in orphans:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > give_up:
            number = signal.SIGKILL


def _children() -> Iterator[int]:
    """The processes whose parent we are, the dead ones that nobody waited for included."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything; the state and the parent follow it.
            parent = entry.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and int(entry.parent.name) not in kept:
                yield int(entry.parent.name)


def _children_cpu_s() -> float:
    """User and system time of all children that ended and were waited for, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
