"""The model files of a node: what they are to it, and whether the disk still has them as verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyinfra.api import Host
from pyinfra.context import ctx_host

from bramble import registry, remote
from bramble.models import beside
from bramble.outputs import ModelOutputs
from bramble.pyinfra import alone, connection
from bramble.pyinfra.boundary import Problem
from bramble.pyinfra.run import PlannedNode
from bramble.pyinfra.session import Work, in_words, on_host, refuse, this_run
from bramble.snapshot import Unknown
from bramble.typed import conforms

TIMEOUT_S = 120
ROW = {
    "path": str,
    "size_bytes": int,
    "sha256": str | None,
    "what": str,
    "removable": bool,
}
"""What a node tells of each model file."""


@in_words
def list_models(node: PlannedNode) -> None:
    """Report the node's models; with `--data verify=yes` each is read back from its disk."""
    if node.plan is None:
        return
    model = node.plan.outputs.find(ModelOutputs)
    if model is None:
        name = registry.giving(ModelOutputs).name
        refuse(name="Refuse the list", problem=Problem(f"this host does not get the role {name}"))
        return
    host = ctx_host.get()
    live = connection.Live(host, node.plan, node.snapshot, deep=bool(host.data.get("verify")))
    look_through(name="List the models", query={**model.housekeeping, "list": True}, live=live)


@on_host
def look_through(query: Mapping[str, Any], live: connection.Live) -> Work:
    """Ask the node for its models, and read them back where that is asked for."""
    return lambda host: _look_through(host, query, live)


def _look_through(host: Host, query: Mapping[str, Any], live: connection.Live) -> bool | Problem:
    ok, output = connection.run(host, "prune_models", query, TIMEOUT_S)
    if not ok:
        return Problem(output.strip() or "the node did not tell its models")
    try:
        found = remote.answer(output, folder=str, free_bytes=int, models=list[Mapping[str, Any]])
        for row in found["models"]:
            if not all(name in row and conforms(row[name], ROW[name]) for name in ROW):
                raise ValueError("a model is not told as models are")
    except ValueError as error:
        return Problem(f"what the node tells of its models cannot be read: {error}")
    for row in found["models"]:
        unread = (None, None)
        row["damaged"], row["state"] = (
            _read_back(host, live, row) if live.deep and row["sha256"] else unread
        )
    this_run().report.write(
        "models",
        host=host.name,
        folder=found["folder"],
        free_bytes=found["free_bytes"],
        models=found["models"],
    )
    return True


def _read_back(
    host: Host, live: connection.Live, row: Mapping[str, Any]
) -> tuple[bool | None, str]:
    """Return whether the disk damaged the file, and a sentence on it.

    Its stamp, which says that it was verified, becomes the note that it is damaged.
    """
    path = row["path"]
    on_disk = live.read_back(path)
    if on_disk is None or isinstance(on_disk, Unknown):
        return None, f"unknown: {on_disk.why if on_disk else 'it was not read'}"
    if on_disk == row["sha256"]:
        return False, "whole"
    said = f"damaged: on the disk: {on_disk}"
    problem = _noted(host, path)
    return True, f"{said}; that could not be noted: {problem}" if problem else said


def _noted(host: Host, path: str) -> str | None:
    """Turn the stamp into the note while this run holds the node; return why not, or None."""
    held = alone.hold(host)
    if isinstance(held, Problem):
        return held.why
    if held:
        return "another run changed the node meanwhile, perhaps this file; verify it again"
    query = {"argv": ["mv", beside.stamp(path), beside.damaged(path)]}
    ok, output = connection.run(host, "command", query, TIMEOUT_S)
    if not ok:
        return output.strip()
    this_run().touched(host)
    return None
