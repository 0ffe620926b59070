"""Checks: what a node must show, stated by its plan and read from one look at it.

A check is a function of a role's `checks.py` whose first docstring line says what it proves. It takes
the role's plan and the node, changes nothing, and returns a finding. Results are kept apart from the
writers that show them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any, Literal, Protocol, TypeVar

from bramble.plan import NodePlan
from bramble.snapshot import Snapshot, Unknown

Status = Literal["pass", "warn", "fail", "skip", "unknown"]
Severity = Literal["stop", "warn"]
ASK_TIMEOUT_S = 300


@dataclass(frozen=True)
class Task:
    """What a server is asked for: an answer (chat), vectors (embeddings) or scores (reranking).

    Of vectors and scores, `expect` is to be nearer to the question than another text, and a vector is to
    have `dimensions` numbers where that is known.
    """

    name: str = "chat"
    expect: str | None = None
    dimensions: int | None = None


CHAT = Task()


class Node(Protocol):
    """A node that checks look at."""

    @property
    def plan(self) -> NodePlan:
        """The whole wanted state of this node."""

    @property
    def snapshot(self) -> Snapshot:
        """What one look saw."""

    def ask(
        self, url: str, question: str, task: Task = CHAT, model: str = ""
    ) -> Mapping[str, Any] | Unknown:
        """Return a model's answer to `question`, as bramble/remote/ask.py gives it.

        A server of several models wants the model's name.
        """

    def read_back(self, path: str) -> str | Unknown | None:
        """Return the sha256 of the file on disk, or why it cannot be read; None when not asked to."""


def ask_query(url: str, question: str, task: Task, model: str = "") -> dict[str, Any]:
    """Return the query of bramble/remote/ask.py for one question."""
    return {
        "url": url,
        "name": model,
        "question": question,
        "max_tokens": 64,
        "timeout_s": ASK_TIMEOUT_S,
        "task": task.name,
        "expect": task.expect,
        "dimensions": task.dimensions,
    }


@dataclass(frozen=True)
class Finding:
    """What a check found; `want` and `got` are for people, `remedy` says what to do about it."""

    status: Status
    want: str
    got: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """One check of the catalogue."""

    role: str
    name: str
    severity: Severity
    proves: str
    run: Callable[[Any, Node], Finding]


@dataclass(frozen=True)
class Result:
    """One check on one host, as every writer gets it."""

    host: str
    role: str
    check: str
    status: Status
    want: str
    got: str
    remedy: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Result:
        """Return the result that a report's event tells."""
        return cls(**{each.name: row[each.name] for each in fields(cls)})

    def as_dict(self) -> dict[str, str]:
        """Return the documented JSON form."""
        return dict(vars(self))


F = TypeVar("F", bound=Callable[..., Finding])


def check(severity: Severity = "stop") -> Callable[[F], F]:
    """Mark a function as a check; a failing one of severity "warn" only warns."""

    def mark(function: F) -> F:
        function.__dict__["severity"] = severity
        return function

    return mark


def checks_of(role: str, module: ModuleType) -> tuple[Check, ...]:
    """Return the checks of a role's module, in the order of their definitions."""
    found = [f for f in vars(module).values() if inspect.isfunction(f) and hasattr(f, "severity")]
    return tuple(
        Check(role, f.__name__, f.__dict__["severity"], (f.__doc__ or "").splitlines()[0], f)
        for f in found
    )


def run_all(node: Node, checks: tuple[Check, ...]) -> tuple[Result, ...]:
    """Run the checks of all roles that the node's plan has."""
    return tuple(_run(node, check) for check in checks if check.role in node.plan.roles)


def _run(node: Node, check: Check) -> Result:
    found = check.run(node.plan.roles[check.role], node)
    status = "warn" if found.status == "fail" and check.severity == "warn" else found.status
    return Result(
        node.plan.host, check.role, check.name, status, found.want, found.got, found.remedy
    )


def expect(want: str, got: str, ok: bool, remedy: str) -> Finding:
    """Return a pass when `ok`; otherwise a failure with what to do."""
    return Finding("pass" if ok else "fail", want, got, "" if ok else remedy)


def skip(want: str, why: str) -> Finding:
    """Return the finding that the check does not apply to this node."""
    return Finding("skip", want, why)


def unknown(want: str, found: Unknown) -> Finding:
    """Return the finding that the node did not say."""
    return Finding("unknown", want, found.why, "Run again with a user who may use sudo.")


def worst(findings: Mapping[str, Finding]) -> Finding:
    """Return one finding for several things by their names: what is wrong with any, if something is."""
    wrong = {name: one for name, one in findings.items() if one.status == "fail"}
    if wrong:
        got = "; ".join(f"{name}: {one.got}" for name, one in wrong.items())
        first = next(iter(wrong.values()))
        return Finding("fail", first.want, got, first.remedy)
    if blind := [one for one in findings.values() if one.status == "unknown"]:
        return blind[0]
    got = "; ".join(f"{name}: {one.got}" for name, one in findings.items())
    return expect("; ".join(one.want for one in findings.values()), got, True, "")


def exit_code(results: tuple[Result, ...]) -> int:
    """Return 0 when nothing failed, 1 when something did, 3 when something could not be determined."""
    statuses = {result.status for result in results}
    return 1 if "fail" in statuses else 3 if "unknown" in statuses else 0
