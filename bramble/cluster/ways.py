"""The ways in which boards serve a model: one of them alone, RPC by layers or tensors, and dllama."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bramble.cluster import boards, layers, memory, network, speed
from bramble.cluster.boards import Node
from bramble.cluster.network import Traffic
from bramble.cluster.shapes import Parts, Shape
from bramble.cluster.speed import Band, Link
from bramble.fit.memory import Request
from bramble.fit.speed import CACHED_BYTES
from bramble.fit.verdict import TIGHT_PERCENT, Fit, fit, parts
from bramble.models.geometry import Geometry

Name = Literal["one node", "rpc layers", "rpc tensor", "dllama"]
Verdict = Literal["yes", "tight", "no", "unknown"]

NO_HEADS = (
    "its numbers of heads are not known: models.lock keeps none, and no published model has these "
    "dimensions. Name the GGUF file or its address"
)
SMALL = "so small a model may lie in the processors' caches, and no bound is known"
TWO = 2
SPLIT_WELL = ("llama-3.1-8b", "qwen3-8b")


@dataclass(frozen=True)
class Planned:
    """A model as it is planned for; `shape` is None where its numbers of heads are not known."""

    name: str
    geometry: Geometry
    parts: Parts
    shape: Shape | None
    notes: tuple[str, ...] = ()

    @property
    def small(self) -> bool:
        """Whether a token reads so little that processors may cache it."""
        return self.geometry.weights.active_bytes < CACHED_BYTES


@dataclass(frozen=True)
class Share:
    """What a board has of the model, and what it has for it; `layers` is None where all have a slice."""

    node: str
    root: bool
    layers: int | None
    needed_mib: int
    available_mib: int


@dataclass(frozen=True)
class Way:
    """Whether and how fast boards serve the model in one way; what is None is not known."""

    name: Name
    verdict: Verdict
    why: str
    shares: tuple[Share, ...] = ()
    tokens_per_s: tuple[float, float] | None = None
    calibrated_on: str = ""
    traffic: Traffic | None = None
    watts: tuple[float, float] | None = None
    flags: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the boards have the memory for it, and can be so many."""
        return self.verdict in ("yes", "tight")


def every(model: Planned, nodes: Sequence[Node], request: Request, link: Link) -> tuple[Way, ...]:
    """Return all ways, of boards of which the first has most memory."""
    alone = one_node(model, nodes, request)
    if len(nodes) < TWO:
        return (alone,)
    return (
        alone,
        rpc_layers(model, nodes, request, link),
        rpc_tensor(model, nodes, request, link),
        dllama(model, nodes, request.ctx, link),
    )


def one_node(model: Planned, nodes: Sequence[Node], request: Request) -> Way:
    """Return llama.cpp alone, on the fastest board that has room for it, else on the largest."""
    answers: list[tuple[Node, Fit]] = [
        (one, fit(model.geometry, one.room, request)) for one in nodes
    ]
    fitting = [one for one in answers if one[1].verdict in ("yes", "tight")]
    chosen, answer = max(fitting or answers[:1], key=lambda one: one[0].gb_s or (0, 0))
    share = Share(chosen.name, True, None, answer.total_mib, answer.available_mib)
    read = model.geometry.weights.active_bytes
    band = None
    if fitting and chosen.gb_s and not model.small:
        band = speed.one_node(read, speed.reading(chosen.gb_s, model.geometry.experts_used))
    return Way(
        name="one node",
        verdict=answer.verdict,
        why="" if fitting else answer.sentence,
        shares=(share,),
        tokens_per_s=_rounded(band),
        calibrated_on=SMALL if model.small else chosen.source,
        watts=boards.watts([chosen], 1),
    )


def rpc_layers(model: Planned, nodes: Sequence[Node], request: Request, link: Link) -> Way:
    """Return RPC with layers split by the boards' memory: it adds memory, and no speed.

    The order is that of `--rpc`: the root, then by memory, as the last board has the output's matrix.
    """
    nodes = [nodes[0], *sorted(nodes[1:], key=lambda one: one.room.memory_mib)]
    rooms = [one.room.available_mib for one in nodes]
    geometry = model.geometry
    placed = layers.split(geometry, model.parts, rooms, request)
    if placed is None:
        room = layers.capacities(geometry, model.parts, rooms, request)
        why = (
            f"there is room for {sum(room)} of {len(geometry.layers)} layers "
            f"({', '.join(f'{one.name} {count}' for one, count in zip(nodes, room, strict=True))})"
        )
        if sum(room) >= len(geometry.layers):
            why = f"the last board ({nodes[-1].name}) has no room for the output's matrix"
        least = sum(parts(geometry, request))
        doubt = geometry.doubt and least > sum(rooms)
        return Way("rpc layers", "unknown" if doubt else "no", f"{why}; add boards, or larger ones")
    traffic = network.rpc_layers(geometry.embedding, geometry.vocabulary, len(nodes))
    each = model.parts.read / len(geometry.layers)
    read = [
        (each * one.layers + model.parts.output * one.output, board.gb_s)
        for one, board in zip(placed, nodes, strict=True)
    ]
    experts = geometry.experts_used
    known = [(size, speed.reading(gb_s, experts)) for size, gb_s in read if gb_s]
    whole = len(known) == len(read) and not model.small
    shares = tuple(
        Share(board.name, index == 0, one.layers, one.needed_mib, board.room.available_mib)
        for index, (one, board) in enumerate(zip(placed, nodes, strict=True))
    )
    return Way(
        name="rpc layers",
        verdict=_tightest(shares, nodes),
        why="",
        shares=shares,
        tokens_per_s=_rounded(speed.rpc_layers(known, traffic, link)) if whole else None,
        calibrated_on=_rpc_about(model, nodes, "one board's figures, one board after the other"),
        traffic=traffic,
        watts=boards.watts(nodes, 1),
        flags=("-ts", ",".join(map(str, layers.shares(placed)))),
    )


def _rpc_about(model: Planned, nodes: Sequence[Node], how: str) -> str:
    if model.small:
        return SMALL
    unknown = [one.source for one in nodes if one.gb_s is None]
    return unknown[0] if unknown else f"{how}; of RPC on Pis nothing is published that was seen"


def rpc_tensor(model: Planned, nodes: Sequence[Node], request: Request, link: Link) -> Way:
    """Return RPC with tensors split, which is for exactly two boards and for a gate in front of it."""
    shape = model.shape
    if len(nodes) != TWO:
        return Way("rpc tensor", "no", f"it is for exactly two boards, and these are {len(nodes)}")
    if shape is None:
        return Way("rpc tensor", "unknown", NO_HEADS)
    if shape.kv_heads % TWO:
        why = f"KV heads ({shape.kv_heads}) cannot be divided by 2: it would answer nonsense"
        return Way("rpc tensor", "no", why)
    shares = tuple(
        Share(one.name, index == 0, None, size, one.room.available_mib)
        for index, (one, size) in enumerate(
            zip(nodes, _tensor_mib(model, request, most=True), strict=True)
        )
    )
    verdict = _tightest(shares, nodes)
    if verdict == "no":
        least = zip(nodes, _tensor_mib(model, request, most=False), strict=True)
        verdict = "unknown" if all(size <= one.room.available_mib for one, size in least) else "no"
    experts = model.geometry.experts_used
    slow = [speed.reading(one.gb_s, experts) for one in nodes if one.gb_s]
    traffic = network.rpc_tensor(shape)
    band = None
    if len(slow) == TWO and not model.small:
        read = model.geometry.weights.active_bytes
        band = speed.rpc_tensor(read, min(slow), traffic, link)
    return Way(
        name="rpc tensor",
        verdict=verdict,
        why=_short_of(shares) if verdict in ("no", "unknown") else "",
        shares=shares,
        tokens_per_s=_rounded(band) if verdict in ("yes", "tight") else None,
        calibrated_on=_rpc_about(model, nodes, "half of one board's reading, and its own traffic"),
        traffic=traffic,
        watts=boards.watts(nodes, TWO),
        flags=("-sm", "tensor"),
    )


def _tensor_mib(model: Planned, request: Request, *, most: bool) -> tuple[int, int]:
    """Return what root and other board take: whether the output's matrix is split too is not known."""
    all_layers = model.parts.layer * len(model.geometry.layers)
    kept = parts(model.geometry, request)[1] << 20
    half = (all_layers + kept) // TWO + layers.buffer_bytes(model.geometry, request)
    half += model.parts.output if most else model.parts.output // TWO
    root = half + model.parts.embedding + (layers.CLIENT_MIB << 20)
    return -(-root >> 20), -(-half >> 20)


def dllama(model: Planned, nodes: Sequence[Node], seq_len: int, link: Link) -> Way:
    """Return distributed-llama: a slice of every tensor on each board."""
    shape, count = model.shape, len(nodes)
    if shape is None:
        return Way("dllama", "unknown", NO_HEADS)
    why = list(memory.obstacles(shape, count))
    if why:
        return Way("dllama", "no", f"{'; '.join(why)}. {_instead(shape, count)}")
    shares = tuple(
        Share(
            node=one.name,
            root=index == 0,
            layers=None,
            needed_mib=memory.needed_mib(shape, count, index, seq_len),
            available_mib=one.room.available_mib,
        )
        for index, one in enumerate(nodes)
    )
    verdict = _tightest(shares, nodes)
    family = boards.slowest(nodes)
    traffic = network.mesh(shape, count)
    band = speed.mesh(shape, family, count, traffic, link)
    counted = verdict != "no" and not model.small
    return Way(
        name="dllama",
        verdict=verdict,
        why=_short_of(shares) if verdict == "no" else "",
        shares=shares,
        tokens_per_s=_rounded(band) if counted else None,
        calibrated_on=SMALL if model.small else speed.mesh_about(family, count),
        traffic=traffic,
        watts=boards.watts(nodes, count),
    )


def _instead(shape: Shape, count: int) -> str:
    """Say what can be split instead."""
    can = [n for n in memory.allowed(shape) if n > 1]
    if not can:
        return f"Take another model, such as {' or '.join(SPLIT_WELL)}"
    words = f"Take {_or(can)} boards"
    doubled = 2 * shape.kv_heads
    if doubled % count == 0 and shape.heads % count == 0:
        words += (
            f". A conversion that writes each KV head twice ({doubled} heads) lifts that for "
            f"{count}; tried with a tiny model alone"
        )
    return words


def _or(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last


def _short_of(shares: Sequence[Share]) -> str:
    """Say which boards have too little memory."""
    short = [one for one in shares if one.needed_mib > one.available_mib]
    words = dict.fromkeys(
        f"{one.node}{' as the root' if one.root else ''} needs {one.needed_mib} MiB and has "
        f"{one.available_mib} for it"
        for one in short
    )
    return f"{'; '.join(words)}. Take larger boards, or a smaller model or context"


def _tightest(shares: Sequence[Share], nodes: Sequence[Node]) -> Verdict:
    """Return whether every board has the memory for its share."""
    spare = [one.available_mib - one.needed_mib for one in shares]
    if min(spare) < 0:
        return "no"
    roomy = (
        free * 100 >= one.room.memory_mib * TIGHT_PERCENT
        for free, one in zip(spare, nodes, strict=True)
    )
    return "yes" if all(roomy) else "tight"


def _rounded(band: Band | None) -> tuple[float, float] | None:
    """Return tokens/s with two digits: no more is known."""
    if band is None:
        return None
    low, high = (float(f"{value:.2g}") for value in band.tokens_per_s)
    return low, high
