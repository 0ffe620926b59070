"""This process' run: its report, what it knows of each host, and operations that stay with their host.

pyinfra's own record of its operations says whether a host was changed, so that operations which are
not bramble's count too.
"""

from __future__ import annotations

import atexit
import difflib
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from types import FrameType
from typing import Any

import click
from pyinfra.api import FunctionCommand, Host, State, operation
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host, ctx_state, state

from bramble import computer, report
from bramble.pyinfra.boundary import Problem, attempt
from bramble.pyinfra.connector import unreachable
from bramble.pyinfra.standing import Standing
from bramble.pyinfra.telling import say
from bramble.snapshot import Snapshot
from bramble.steps import Step

DATA = ("role", "deep", "verify", "again", "rounds", "cool", "variants")
"""What `--data NAME=VALUE` tells deploys."""

Commands = Generator[FunctionCommand, None, None]
Work = Callable[[Host], bool | Problem]
"""Work on a host: returns whether it succeeded, or a problem that was not reported yet."""


@dataclass
class Seen:
    """What this run knows of one host.

    `snapshot` is the latest look after the first one, `ours` are bramble's operations, `looked` the
    others that were complete at the latest look, `executed` the roles executed so far, `node` is the
    planned node of a deploy that holds none itself, and `standing` counts its steps.
    """

    changed: bool = False
    touched: bool = False
    snapshot: Snapshot | None = None
    ours: set[str] = field(default_factory=set)
    looked: set[str] = field(default_factory=set)
    executed: list[str] = field(default_factory=list)
    node: object = None
    standing: Standing = field(default_factory=Standing)


def misspelt(data: Iterable[str]) -> Iterator[str]:
    """Yield a hint for each `--data` name that no deploy of bramble's reads.

    It is no error: a deploy of the user's own may read it.
    """
    for name in data:
        near = difflib.get_close_matches(name, DATA, n=1, cutoff=0.75)
        if name not in DATA and near:
            yield f"--data {name}: no deploy of bramble's reads it; did you mean '{near[0]}'?"


class Run:
    """The report of this process' run, and what it knows of its hosts."""

    def __init__(self) -> None:
        self.report = report.Report(report.path())
        self._seen: dict[str, Seen] = {}
        self.report.write(
            "run",
            hosts=[h.name for h in state.inventory if state.is_host_in_limit(h)],
            who=computer.who(),
            command=report.command(),
        )
        for said in misspelt(state.inventory.get_override_data()):
            click.echo(click.style(said, "yellow"), err=True)

    def of(self, host: Host) -> Seen:
        """Return what is known of a host."""
        return self._seen.setdefault(host.name, Seen())

    def looked(self, host: Host, snapshot: Snapshot) -> None:
        """Remember a later look: what follows is decided by it."""
        seen = self.of(host)
        seen.snapshot, seen.touched, seen.looked = snapshot, False, _done_by_others(host, seen)

    def others_changed(self, host: Host) -> bool:
        """Tell whether an operation that is not bramble's has run since the latest look."""
        seen = self.of(host)
        return bool(_done_by_others(host, seen) - seen.looked)

    def is_stale(self, host: Host) -> bool:
        """Tell whether anything was changed on the host since the latest look."""
        return self.of(host).touched or self.others_changed(host)

    def stepped(self, host: Host, step: Step, problem: str | None) -> bool:
        """Report an executed step; return whether it succeeded."""
        self.touched(host)
        self.report.write(
            "step",
            host=host.name,
            step=step.name,
            why=step.why,
            state="failed" if problem else "done",
            problem=problem,
        )
        return problem is None

    def touched(self, host: Host) -> None:
        """Remember that the host was changed."""
        seen = self.of(host)
        seen.changed = seen.touched = True

    def failed(self, host: Host, problem: Problem) -> None:
        """Report why a host failed, in the terminal and in the report."""
        reasons = problem.why.splitlines()
        for reason in reasons:
            say(host, reason, "red")
        self.report.write(
            "host",
            host=host.name,
            state="failed",
            why=" ".join(reasons),
            details=problem.details,
            held_by=problem.held_by,
        )

    def end(self) -> None:
        """Name the hosts that changed and those that failed, the unreachable ones among them."""
        failed = {failed_host.name for failed_host in state.failed_hosts}
        for name in sorted(failed - {activated.name for activated in state.activated_hosts}):
            why = unreachable.get(name, "it could not be reached")
            self.report.write("host", host=name, state="unreachable", why=why)
        meant = {host.name for host in state.inventory if state.is_host_in_limit(host)}
        changed = {host.name for host in state.activated_hosts if self._has_changed(host)}
        self.report.write(
            "end",
            changed=sorted(changed),
            failed=sorted(failed),
            complete=state.current_stage == StateStage.Disconnect or failed == meant,
        )

    def _has_changed(self, host: Host) -> bool:
        seen = self.of(host)
        return seen.changed or bool(_done_by_others(host, seen))


def _done_by_others(host: Host, seen: Seen) -> set[str]:
    """Return the operations, not bramble's, that ran a command on the host, failed ones too."""
    metas = {key: data.operation_meta for key, data in state.ops[host].items()}
    return {
        key
        for key, meta in metas.items()
        if key not in seen.ours and meta.is_complete() and meta.executed
    }


_runs: list[Run] = []


def this_run() -> Run:
    """Return the run of this process; its first use begins it."""
    if not _runs:
        _runs.append(Run())
    return _runs[0]


def watch() -> None:
    """End the report when this process ends, with whatever result.

    inventory.py calls this, because a deploy is never loaded when its only host cannot be reached:
    then the run begins and ends here.
    """
    # Lost connections are reported with our own messages; paramiko would print a traceback too.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    # pyinfra would wait for running commands, perhaps for hours, and exit with 0 as if all were done.
    signal.signal(signal.SIGINT, _stopped)
    atexit.register(_end)


def _stopped(_number: int, _frame: FrameType | None) -> None:
    """Exit at once on a signal of a person or a CI server; detached steps continue on the nodes."""
    try:
        _end()
        click.echo(
            "Stopped. What the nodes have under way continues there; the same run takes it up."
        )
        sys.stdout.flush()
    finally:  # who listened may have gone before
        os._exit(report.STOPPED)


def _end() -> None:
    connected = ctx_state.isset() and state.initialised
    if _runs or (connected and state.failed_hosts):
        this_run().end()


def on_host(decide: Callable[..., str | Work]) -> Any:
    """Turn a function that decides on one host's Work, or why there is none, into an operation.

    Any exception, while it decides or while it works, fails this host alone.
    """

    @operation()
    @wraps(decide)
    def operate(*args: Any, **kwargs: Any) -> Commands:
        host = ctx_host.get()
        this_run().of(host).ours.add(host.current_op_hash)
        found = attempt(lambda: decide(*args, **kwargs))
        if isinstance(found, str):
            host.noop(found)
            return
        work: Work = (lambda _host: found) if isinstance(found, Problem) else found
        yield FunctionCommand(_carry_out, (work,), {})

    return operate


def nothing_done() -> OperationMeta:
    """Return the meta of a success that needed no operation and changed nothing."""
    meta = OperationMeta("bramble", is_change=False)
    meta.set_complete(True, [], CommandOutput([]))
    return meta


def _carry_out(state: State, host: Host, work: Work) -> bool:
    """Run the work; return False to fail this host alone, as pyinfra prints a traceback else."""
    done = attempt(lambda: work(host))
    if isinstance(done, Problem):
        this_run().failed(host, done)
        return False
    return done


def in_words(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function of a deploy so that its exceptions fail this host alone, not the whole run."""

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        found = attempt(lambda: function(*args, **kwargs))
        if isinstance(found, Problem):
            return refuse(name="Fail the host", problem=found)
        return found

    return guarded


@on_host
def refuse(problem: Problem) -> Work:
    """Fail this host, and no other."""
    return lambda _host: problem
