"""The notes that lie beside a model on a node, by the model's path."""

from __future__ import annotations


def stamp(path: str) -> str:
    """Name the note beside a model that says that it was verified."""
    return f"{path}.json"


def dimensions(path: str) -> str:
    """Name the note beside a model of what its header says."""
    return f"{path}.fit"


def damaged(path: str) -> str:
    """Name what becomes of the stamp of a model whose disk has another file."""
    return f"{path}.damaged"
