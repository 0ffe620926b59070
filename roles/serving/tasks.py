"""What a server is for: to answer, to embed texts, or to rank documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bramble.checks import Finding, Task, expect, unknown
from bramble.outputs import FurtherModel, ModelOutputs
from bramble.snapshot import Unknown

JOURNAL = "sudo journalctl -u llama-server.service says why."
TaskName = Literal["chat", "embeddings", "reranking"]
Pooling = Literal["mean", "cls", "last"]


def arguments(task: TaskName, pooling: Pooling | None) -> Iterator[str]:
    """Yield llama-server's arguments for a task."""
    if task != "chat":
        yield f"--{task}"
    if pooling:
        yield f"--pooling {pooling}"


def disagreements(
    task: TaskName, pooling: Pooling | None, dimensions: int | None
) -> Iterator[tuple[str, str]]:
    """Find settings that mean nothing for this task, each by its name."""
    for name, value in (("pooling", pooling), ("dimensions", dimensions)):
        if value is not None and task != "embeddings":
            yield name, f"it is for task embeddings, and the task is {task}: leave it out"


def planned(
    task: TaskName, text: str | None, given: int | None, model: ModelOutputs | FurtherModel
) -> Task:
    """Return what the server is to show of this task with this model."""
    width = model.dimensions.embedding if model.dimensions else None
    return Task(task, text, (given or width) if task == "embeddings" else None)


def judged(
    task: Task, question: str, reply: Mapping[str, Any] | Unknown, setting: str, host: str
) -> Finding:
    """Judge a model's answer to the question."""
    want = wanted(task, question)
    if isinstance(reply, Unknown):
        return unknown(want, reply)
    if "problem" in reply:
        return expect(want, str(reply["problem"]), False, JOURNAL)
    got = str(reply["answer"]).strip()
    # Vectors and scores were judged on the node.
    elsewhere = task.name != "chat"
    ok = bool(got) and (elsewhere or task.expect is None or task.expect in got)
    remedy = f"The file or the build is broken: `bramble model verify {host}`, deploy again."
    if got:
        remedy = f"If that is right, set {setting} to a part of it. If not: {remedy}"
    return expect(want, repr(got), ok, remedy)


def wanted(task: Task, question: str) -> str:
    """Say what the known answer is to be."""
    if task.name == "chat":
        return f"an answer to {question!r}" + (f" with {task.expect!r}" if task.expect else "")
    nearer = f", {task.expect!r} the nearer" if task.expect else ""
    if task.name == "embeddings":
        return f"a vector of {task.dimensions or 'some'} finite numbers for {question!r}{nearer}"
    return f"scores of documents for {question!r}{nearer}"
