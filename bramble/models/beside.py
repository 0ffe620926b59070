"""The notes beside a model file on a node, by the model's path."""

from __future__ import annotations


def stamp(path: str) -> str:
    """Return the path of the note that says that the model was verified."""
    return f"{path}.json"


def dimensions(path: str) -> str:
    """Return the path of the note with the dimensions that the model's header gives."""
    return f"{path}.fit"


def damaged(path: str) -> str:
    """Return the path to which a model's stamp is renamed once its disk returned other bytes."""
    return f"{path}.damaged"
