"""What a server is for: to answer, to embed texts, or to rank documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from bramble.checks import Task
from bramble.outputs import ModelOutputs

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


def planned(task: TaskName, expect: str | None, given: int | None, model: ModelOutputs) -> Task:
    """Return what the server is to show of this task."""
    width = model.dimensions.embedding if model.dimensions else None
    return Task(task, expect, (given or width) if task == "embeddings" else None)


def wanted(task: Task, question: str) -> str:
    """Say what the known answer is to be."""
    if task.name == "chat":
        return f"an answer to {question!r}" + (f" with {task.expect!r}" if task.expect else "")
    nearer = f", {task.expect!r} the nearer" if task.expect else ""
    if task.name == "embeddings":
        return f"a vector of {task.dimensions or 'some'} finite numbers for {question!r}{nearer}"
    return f"scores of documents for {question!r}{nearer}"
