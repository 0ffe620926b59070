"""Every published point that predictions are held to, each with its source.

None is a measurement of ours. Milliseconds are for a token; `sent_kb` is what the source says that the
root sends for one, or what another point of the same version gives for such layers, as `note` says then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bramble.cluster import network, speed
from bramble.cluster.shapes import PUBLISHED, q4_bytes
from bramble.cluster.speed import GB, MS, Band, Link
from bramble.fit.speed import PUBLISHED as BOARDS

README = "b4rtaz/distributed-llama README up to v0.12, report/report.pdf"
PR64 = "b4rtaz/distributed-llama PR#64"
PR136 = "b4rtaz/distributed-llama PR#136"
HELLOMATIK = "hellomatik.com"
AI = "geerlingguy/ai-benchmarks"
BEOWULF = "geerlingguy/beowulf-ai-cluster#6"
OLLAMA = "an Ollama table whose origin is not known"
CITED = "the same page, of distributed-llama #255"

NEEDED_SHARE = 0.90
"""The share of points that predictions must contain."""


@dataclass(frozen=True)
class Point:
    """A published time of a token.

    `read_gb` is what llama.cpp reads for a token; `fitted`, whether constants were fitted to it.
    """

    engine: Literal["dllama", "llama.cpp", "rpc"]
    version: str
    board: str
    nodes: int
    model: str
    ms: float
    source: str
    sent_kb: float = 0
    read_gb: float = 0
    experts: int = 0
    fitted: bool = True
    note: str = ""


def _old(
    version: str,
    board: str,
    model: str,
    rows: dict[int, tuple[float, float]],
    source: str = README,
    note: str = "",
) -> tuple[Point, ...]:
    return tuple(
        Point("dllama", version, board, nodes, model, ms, source, sent_kb=sent, note=note)
        for nodes, (ms, sent) in rows.items()
    )


def _alone(board: str, model: str, tokens_per_s: float, gb: float, source: str) -> Point:
    ms = MS / tokens_per_s
    return Point("llama.cpp", "", board, 1, model, ms, source, read_gb=gb)


_SCALED = "bytes as of the 8B"
_MOE_GB = q4_bytes(PUBLISHED["qwen3-30b-a3b"].read_layers + PUBLISHED["qwen3-30b-a3b"].head)
_MOE_GB_27 = _MOE_GB / GB * 2.7 / 4.5

POINTS: tuple[Point, ...] = (
    *_old(
        "0.1.0",
        "pi4",
        "llama-2-7b",
        {1: (1312.50, 0), 2: (793.69, 590), 4: (494.00, 2046), 8: (588.19, 5094)},
    ),
    *_old(
        "0.1.0",
        "pi4",
        "llama-2-13b",
        {2: (1497.19, 924), 4: (848.19, 3203), 8: (1114.88, 7976)},
    ),
    *_old("0.1.0", "pi4", "llama-2-70b", {8: (4842.81, 28857)}),
    *_old("0.3.1", "pi5", "llama-2-7b", {1: (441.09, 0)}),
    *_old(
        "0.3.1",
        "pi5",
        "llama-2-7b",
        {2: (341.46, 510), 4: (219.08, 1887)},
        note=_SCALED,
    ),
    *_old("0.3.1", "pi5", "llama-3-8b", {1: (564.31, 0), 2: (444.27, 510), 4: (331.47, 1887)}),
    *_old("0.7.1", "pi5", "llama-3-8b", {2: (325.46, 272), 4: (245.08, 816)}, source=PR64),
    *_old("0.7.1", "pi5", "tinyllama-1.1b", {2: (59.31, 93.5)}, source=PR64, note=_SCALED),
    Point(
        *("dllama", "0.10.6", "pi5", 2, "llama-3.2-3b", 333.66, PR136),
        sent_kb=178,
        fitted=False,
        note="the model is told by its 178 kB; contradicts the others: an 8B took 325 ms",
    ),
    Point("dllama", "0.16", "pi5", 4, "llama-3.1-8b", 175.4, HELLOMATIK),
    Point("dllama", "0.16", "pi5", 4, "qwen3-30b-a3b", 76.7, CITED),
    Point("dllama", "0.16", "pi5", 4, "qwen3-30b-a3b", 76.0, CITED),
    Point(
        *("dllama", "0.16", "pi5", 4, "qwen3-30b-a3b", MS / 15.14, HELLOMATIK),
        fitted=False,
        note="tuned by its author",
    ),
    _alone("pi4", "qwen2.5 0.5B Q4_K_M", 7.92, 0.398, OLLAMA),
    _alone("pi4", "llama3.2 1B Q8_0", 2.55, 1.32, OLLAMA),
    _alone("pi4", "qwen2.5 1.5B Q4_K_M", 3.54, 0.986, OLLAMA),
    _alone("pi4", "qwen2.5 3B Q4_K_M", 1.74, 1.93, OLLAMA),
    _alone("pi4", "gemma2 2B Q4_0", 1.94, 1.63, OLLAMA),
    _alone("pi4", "phi3 3.8B Q4_0", 1.51, 2.18, OLLAMA),
    _alone("pi4", "qwen2.5 7B Q4_K_M", 0.78, 4.68, OLLAMA),
    _alone("pi4", "8B Q4_K_M", 0.70, 4.92, OLLAMA),
    _alone("pi4", "llama3.2 3B Q4_K_M (Pi 400)", 1.60, 2.02, AI),
    _alone("pi4", "pruned 8B Q4_K_M", 0.80, 3.99, "article E"),
    _alone("pi5", "llama3.2 3B Q4_K_M (CM5)", 6.07, 2.02, BEOWULF),
    _alone("pi5", "llama3.2 3B Q4_K_M, 8 GB", 4.61, 2.02, AI),
    _alone("pi5", "llama3.2 3B Q4_K_M, 16 GB", 4.88, 2.02, AI),
    _alone("pi5", "llama3.2 3B Q4_K_M (500+)", 5.55, 2.02, AI),
    _alone("pi5", "llama3.1 8B Q4_K_M", 2.17, 4.92, AI),
    _alone("pi5", "llama2 13B Q4_0", 1.36, 7.37, AI),
    Point(
        *("llama.cpp", "", "pi5", 1, "qwen3-30b-a3b, 2.7 bits", MS / 7.99, f"{AI}#47"),
        read_gb=_MOE_GB_27,
        experts=128,
        note="its bytes a token are not published: computed from 2.7 bits a weight",
    ),
    Point(
        *("rpc", "", "pi5", 10, "llama-3.3-70b Q4_K_M", MS / 0.85, BEOWULF),
        read_gb=42.5,
        fitted=False,
        note="the row itself was not seen; boards that work one after the other cannot do it",
    ),
)


@dataclass(frozen=True)
class Held:
    """A point with what is predicted for it."""

    point: Point
    band: Band

    @property
    def error(self) -> float:
        """How far the likeliest time is from the published one, as a share of that."""
        return self.band.middle / self.point.ms - 1

    @property
    def contained(self) -> bool:
        """Whether the interval has the published time."""
        return self.band.contains(self.point.ms)


def predicted(point: Point) -> Band:
    """Return what is predicted for a point, by the same code as plans; up to 0.11 by the old traffic."""
    if point.engine == "llama.cpp":
        gb_s = speed.reading(BOARDS[point.board].usual, point.experts)
        return speed.one_node(point.read_gb * GB, gb_s)
    if point.engine == "rpc":
        shape = PUBLISHED[point.model.split()[0]]
        traffic = network.rpc_layers(shape.embedding, shape.vocabulary, point.nodes)
        read = [(point.read_gb * GB / point.nodes, BOARDS[point.board].usual)] * point.nodes
        return speed.rpc_layers(read, traffic, Link())
    shape = PUBLISHED[point.model]
    if old := speed.STAR.get((point.board, point.version)):
        return speed.star(shape, old, point.nodes, point.sent_kb * 1e3)
    traffic = network.mesh(shape, point.nodes)
    found = speed.mesh(shape, point.board, point.nodes, traffic, Link())
    assert found is not None
    return found


def held() -> tuple[Held, ...]:
    """Return every point with its prediction."""
    return tuple(Held(point, predicted(point)) for point in POINTS)
