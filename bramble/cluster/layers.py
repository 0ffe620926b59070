"""How llama.cpp's RPC lays a model's layers on boards, and what each then takes.

A layer i of L, the output's matrix being layer L, goes to the first server with i / (L + 1) below its
cumulative share; the shares (`-ts`) are computed here, as a server reports all of its memory as free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from bramble.cluster.shapes import Parts
from bramble.fit.memory import Request, compute_bytes, kv_bytes
from bramble.models.geometry import Geometry

CLIENT_MIB = 300
"""What llama-server takes on the root beside the embedding, which it maps from the file."""

SERVER_MIB = 5
"""Resident memory of a server above what it holds."""

BUFFER_SHARE = 1.25
"""Compute buffers with servers are larger than alone: 84 MiB where 64 are (`llama-fit-params`)."""


@dataclass(frozen=True)
class Placed:
    """A server's layers, whether it has the output's matrix, and the most that it takes."""

    layers: int
    output: bool
    needed_mib: int


def placement(layers: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Return how many layers each server gets for these shares; the last entry counts the output."""
    total, bounds = sum(shares), [*accumulate(shares)]
    found = [0] * len(shares)
    for layer in range(layers + 1):
        place = layer / (layers + 1)
        found[next(i for i, bound in enumerate(bounds) if place < bound / total)] += 1
    return tuple(found)


def capacities(
    model: Geometry, parts: Parts, rooms_mib: Sequence[int], request: Request
) -> tuple[int, ...]:
    """Return how many layers each board has room for; the first has the client, the last the output."""
    each = _layer_bytes(model, parts, request)
    found = []
    for index, room_mib in enumerate(rooms_mib):
        free = (room_mib << 20) - _beside(model, parts, request, index, len(rooms_mib))
        found.append(max(free // each, 0))
    return tuple(found)


def split(
    model: Geometry, parts: Parts, rooms_mib: Sequence[int], request: Request
) -> tuple[Placed, ...] | None:
    """Return the layers of each board, by its room; None where they do not fit together."""
    room = capacities(model, parts, rooms_mib, request)
    count = len(model.layers)
    # The output's matrix must be on the last server, which may then have no layer.
    last = (rooms_mib[-1] << 20) - _beside(
        model, parts, request, len(rooms_mib) - 1, len(rooms_mib)
    )
    if sum(room) < count or last < 0:
        return None
    given = [count * one // sum(room) for one in room]
    for _ in range(count - sum(given)):
        most = max(range(len(room)), key=lambda i: room[i] - given[i])
        given[most] += 1
    each = _layer_bytes(model, parts, request)
    return tuple(
        Placed(
            layers=layers,
            output=index == len(given) - 1,
            needed_mib=_mib(
                layers * each + _beside(model, parts, request, index, len(given)),
            ),
        )
        for index, layers in enumerate(given)
    )


def shares(placed: Sequence[Placed]) -> tuple[int, ...]:
    """Return the values of `-ts` that place the layers so."""
    return tuple(one.layers + one.output for one in placed)


def _layer_bytes(model: Geometry, parts: Parts, request: Request) -> int:
    """Return the most that a layer takes, with its keys and values."""
    kept = (kv_bytes(replace(model, layers=(one,)), request) for one in set(model.layers))
    return parts.layer + max(kept)


def buffer_bytes(model: Geometry, request: Request) -> int:
    """Return the most that a server's compute buffer takes."""
    return int(compute_bytes(model, request) * BUFFER_SHARE)


def _beside(model: Geometry, parts: Parts, request: Request, index: int, count: int) -> int:
    """Return what a board takes beside its layers, with a copy of a tensor while they arrive."""
    # A layer is mostly three equal matrices.
    taken = buffer_bytes(model, request) + (SERVER_MIB << 20) + parts.layer // 3
    if index == 0:
        taken += parts.embedding + (CLIENT_MIB << 20)
    if index == count - 1:
        taken += 2 * parts.output
    return taken


def _mib(size: int) -> int:
    return -(-size >> 20)
