"""How long a token takes, as an interval: what is read from memory, and what goes over the network.

Constants are fitted to published points (points.py). Where nothing is published, ranges stand for what
is not known, and `about` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bramble.cluster.network import DELAY_MS, GIGABIT_MB_S, Traffic
from bramble.cluster.shapes import Shape, q4_bytes

MS, GB, MB = 1e3, 1e9, 1e6
MOST_NODES = 8
"""Nobody has published more nodes of one model."""
SWITCHED_NODES = 4
"""Up to so many nodes published points agree with a switch that carries what its ports do."""
POOR_SWITCH_MB_S = 15.0
"""What a node got through a cheap switch with eight: 14 to 16, fitted to version 0.1.0."""


@dataclass(frozen=True)
class Band:
    """Milliseconds for a token: the least, the likeliest, the most."""

    low: float
    middle: float
    high: float

    @property
    def tokens_per_s(self) -> tuple[float, float]:
        """Tokens in a second, from and to."""
        return MS / self.high, MS / self.low

    def contains(self, ms: float) -> bool:
        """Tell whether a measurement lies within."""
        return self.low <= ms <= self.high


@dataclass(frozen=True)
class Link:
    """What the network between boards carries, and the delay of one way; None: not measured."""

    mb_s: float | None = None
    delay_ms: float | None = None

    @property
    def late_ms(self) -> float:
        """What each wait takes more than was assumed where constants were fitted."""
        return max(self.each_wait_ms - DELAY_MS, 0)

    @property
    def each_wait_ms(self) -> float:
        """The delay of one way."""
        return DELAY_MS if self.delay_ms is None else self.delay_ms

    @property
    def carries_mb_s(self) -> float:
        """What a node gets through it at best."""
        return GIGABIT_MB_S if self.mb_s is None else self.mb_s

    def through(self, nodes: int) -> tuple[float, float]:
        """Return what a node gets through it with so many nodes, at least and at most."""
        best = self.carries_mb_s
        return (min(best, POOR_SWITCH_MB_S) if nodes > SWITCHED_NODES else best), best


@dataclass(frozen=True)
class Mesh:
    """distributed-llama since 0.12 on a kind of board: GB/s of memory, and ms a layer, from and to."""

    gb_s: tuple[float, float]
    layer_ms: tuple[float, float]
    spread: float
    about: str


OLD_SPREAD = 0.16
"""Of computing, version 0.1.0: each point lies within it of what a fit to the others says (refit.py)."""

MESH: Mapping[str, Mesh] = {
    "pi4": Mesh(
        (2.94, 2.94),
        (0.1, 1.0),
        OLD_SPREAD,
        "the computing part of 8 points of version 0.1.0, and the traffic of today's; no version "
        "from 0.12 on is published on a Pi 4",
    ),
    "pi5": Mesh(
        (6.4, 6.4),
        (0.02, 0.02),
        0.20,
        "4 points of version 0.16 on 4 boards",
    ),
}
"""By the family of the slowest board: the others wait for it."""

FEW_PI5 = Mesh(
    (6.4, 8.5),
    (0.02, 0.02),
    0.10,
    "between version 0.16 on 4 boards and 0.3.1 on one; no version from 0.12 on is published on "
    "fewer than 4",
)
MANY = "; more than 4 are not published for it, so the switch may carry 15 MB/s a node, or all"


def mesh_constants(family: str, nodes: int) -> Mesh | None:
    """Return the constants for a kind of board; None where nothing is published of it."""
    if nodes > MOST_NODES:
        return None
    if family == "pi5" and nodes < SWITCHED_NODES:
        return FEW_PI5
    return MESH.get(family)


def mesh_about(family: str, nodes: int) -> str:
    """Say what the constants were fitted to."""
    found = mesh_constants(family, nodes)
    if found is None:
        return f"nothing is published of {family or 'such a board'} with {nodes} nodes"
    return found.about + (MANY if nodes > SWITCHED_NODES else "")


def read_bytes(shape: Shape) -> int:
    """Return what a token reads of a model in blocks of four bits, on all nodes together."""
    return q4_bytes(shape.read_layers + shape.head)


def mesh(shape: Shape, family: str, nodes: int, traffic: Traffic, link: Link) -> Band | None:
    """Return distributed-llama's time for a token; None where nothing is published to go by."""
    found = mesh_constants(family, nodes)
    if found is None:
        return None
    slow, fast = link.through(nodes)
    late = traffic.waits * link.late_ms
    wire = traffic.wire_bytes[0]
    least = _computing(shape, nodes, found.gb_s[1], found.layer_ms[0]) + _sent(wire, fast) + late
    most = _computing(shape, nodes, found.gb_s[0], found.layer_ms[1]) + _sent(wire, slow) + late
    return Band(least / (1 + found.spread), (least * most) ** 0.5, most * (1 + found.spread))


def _computing(shape: Shape, nodes: int, gb_s: float, layer_ms: float) -> float:
    return read_bytes(shape) / nodes / gb_s / GB * MS + layer_ms * shape.layers


def _sent(size: float, mb_s: float) -> float:
    return size / mb_s / MB * MS


def scaling(
    shape: Shape, family: str, few: tuple[int, Traffic], many: tuple[int, Traffic], link: Link
) -> tuple[float, float] | None:
    """Return how many times as fast more nodes are, at least and at most, the boards being the same.

    The constants are unknown alike for both, so the ends of their ranges are compared with each other.
    """
    found = mesh_constants(family, many[0])
    if found is None:
        return None
    ratios = []
    for layer_ms in found.layer_ms:
        for end in (0, 1):
            times = []
            for nodes, traffic in (few, many):
                wire = _sent(traffic.wire_bytes[0], link.through(nodes)[end])
                late = traffic.waits * link.late_ms
                times.append(_computing(shape, nodes, found.gb_s[0], layer_ms) + wire + late)
            ratios.append(times[0] / times[1])
    return min(ratios), max(ratios)


def must_carry_mb_s(
    shape: Shape, family: str, few: tuple[int, Traffic], many: tuple[int, Traffic]
) -> float | None:
    """Return what a node must get through the switch for more nodes to be faster than few."""
    found = mesh_constants(family, many[0])
    if found is None:
        return None
    before = _computing(shape, few[0], found.gb_s[0], 0)
    before += _sent(few[1].wire_bytes[0], GIGABIT_MB_S)
    spared = before - _computing(shape, many[0], found.gb_s[0], 0)
    return many[1].wire_bytes[0] / MB / spared * MS


MIXTURE_SHARE = 0.87
"""A mixture of experts read 8.1 GB/s on a Pi 5 where dense models read 9.3 at least."""


def reading(gb_s: tuple[float, float], experts: int) -> tuple[float, float]:
    """Return what a board reads of a model: of a mixture of experts it may be less."""
    low, high = gb_s
    return (low * MIXTURE_SHARE if experts else low), high


def one_node(read: float, gb_s: tuple[float, float]) -> Band:
    """Return llama.cpp's time for a token on one board, by what such boards usually move."""
    slow, fast = (read / one / GB * MS for one in gb_s)
    return Band(fast, (slow * fast) ** 0.5, slow)


def rpc_layers(
    read: Sequence[tuple[float, tuple[float, float]]], traffic: Traffic, link: Link
) -> Band:
    """Return RPC's time with layers split: one board after the other reads its part."""
    boards = [one_node(size, gb_s) for size, gb_s in read]
    between = traffic.waits * link.each_wait_ms
    between += _sent(traffic.wire_bytes[1], link.carries_mb_s)
    return Band(
        sum(one.low for one in boards) + between,
        sum(one.middle for one in boards) + between,
        sum(one.high for one in boards) + between,
    )


def rpc_tensor(read: float, gb_s: tuple[float, float], traffic: Traffic, link: Link) -> Band:
    """Return RPC's time with tensors split between two: half is read on each, and much is sent."""
    half = one_node(read / 2, gb_s)
    waits = traffic.waits * link.each_wait_ms
    least, most = (waits + _sent(size, link.carries_mb_s) for size in traffic.wire_bytes)
    return Band(half.low + least, half.middle + (least * most) ** 0.5, half.high + most)


@dataclass(frozen=True)
class Star:
    """distributed-llama up to 0.11, whose traffic all went through the root: what points are held to.

    Layers are divided, the output's matrix is the root's. `mb_s` is for up to four nodes and for more;
    the time on the network varies by a factor of two from point to point.
    """

    gb_s: float
    layer_ms: float
    shared_layer_ms: float
    mb_s: tuple[float, float]
    spread: float


STAR: Mapping[tuple[str, str], Star] = {
    ("pi4", "0.1.0"): Star(2.94, 3.54, 0, (40, 14), OLD_SPREAD),
    ("pi5", "0.3.1"): Star(8.5, 1.5, 2.1, (117, 117), 0.15),
    ("pi5", "0.7.1"): Star(7.5, 0, 0.6, (25, 25), 0.15),
    ("pi5", "0.10.6"): Star(7.5, 0, 0.6, (25, 25), 0.15),
}
"""By the family of boards and the version; 0.10.6 has the constants of 0.7.1."""
STAR_NETWORK = 2.0


def star(shape: Shape, found: Star, nodes: int, sent_bytes: float) -> Band:
    """Return the time for a token of a version before the mesh."""
    read = q4_bytes(shape.read_layers) / nodes + q4_bytes(shape.head)
    layer_ms = found.layer_ms + (found.shared_layer_ms if nodes > 1 else 0)
    computing = read / found.gb_s / GB * MS + layer_ms * shape.layers
    sent = _sent(sent_bytes, found.mb_s[nodes > SWITCHED_NODES]) if nodes > 1 else 0
    return Band(
        computing / (1 + found.spread) + sent / STAR_NETWORK,
        computing + sent,
        computing * (1 + found.spread) + sent * STAR_NETWORK,
    )
