"""Each point of a version of distributed-llama, predicted by a fit to the others: what a fit is worth.

A fit is of two constants, the bytes that memory gives and the time of a layer, by least squares of
relative errors. What the network carries stays as it is: it is a guess that no fit mends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bramble.cluster import speed
from bramble.cluster.points import POINTS, Held, Point
from bramble.cluster.shapes import PUBLISHED, q4_bytes
from bramble.cluster.speed import GB, MB, MS, STAR, SWITCHED_NODES, Star

REFITTED = ("pi4", "0.1.0")
"""The only version with enough points for a fit of two constants."""


def left_out() -> tuple[Held, ...]:
    """Return each point with what a fit to the others predicts for it."""
    board, version = REFITTED
    points = [one for one in POINTS if (one.board, one.version) == (board, version)]
    found = []
    for point in points:
        constants = fitted([one for one in points if one is not point], STAR[REFITTED])
        shape = PUBLISHED[point.model]
        band = speed.star(shape, constants, point.nodes, point.sent_kb * 1e3)
        found.append(Held(point, band))
    return tuple(found)


def fitted(points: Sequence[Point], start: Star) -> Star:
    """Return the constants that fit points best, with the network of `start`."""
    rows = [_row(one, start) for one in points]
    aa, ab, bb, at, bt = (
        sum(left[i] * left[j] for left in rows) for i, j in ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2))
    )
    determinant = aa * bb - ab * ab
    byte_ms = (at * bb - bt * ab) / determinant
    layer_ms = (aa * bt - ab * at) / determinant
    return replace(start, gb_s=MS / byte_ms / GB, layer_ms=layer_ms)


def _row(point: Point, start: Star) -> tuple[float, float, float]:
    """Return bytes, layers and computing time of a point, each as a share of its time."""
    shape = PUBLISHED[point.model]
    read = q4_bytes(shape.read_layers) / point.nodes + q4_bytes(shape.head)
    mb_s = start.mb_s[point.nodes > SWITCHED_NODES]
    sent = point.sent_kb * 1e3 / mb_s / MB * MS
    return read / point.ms, shape.layers / point.ms, (point.ms - sent) / point.ms
