"""What a host reads for a token, by its own kept benchmarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bramble.bench.result import Result
from bramble.cluster.boards import Node
from bramble.fit.speed import GB


class NoBench(Exception):
    """Why no benchmark of a host can be gone by, and what to do."""


def measured(node: Node, kind: str, results: Iterable[Result]) -> Node:
    """Return the node with the GB/s that its newest benchmark of this kind of board moved.

    Runs in which the board was held back do not count, nor a model of which the bytes of a token are
    not known.
    """
    for one in results:
        speeds, dimensions = one.free.span("answer_tps"), one.model.dimensions
        if one.board.kind == kind and speeds and dimensions:
            read = dimensions.geometry.weights.active_bytes / GB
            low, high = speeds
            source = f"measured on {node.name} at {one.at} with {one.model.name}"
            return replace(node, gb_s=(low * read, high * read), source=source)
    raise NoBench(
        f"{node.name} has no kept benchmark to go by (a model of models.lock on a {kind or 'board'}, "
        f"not held back): run `bramble bench {node.name}`, or leave --measured out."
    )
