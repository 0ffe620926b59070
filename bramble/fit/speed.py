"""How fast a model can be on a board: each token reads its weights once, at the speed of the memory.

The figures of boards are published ones; `bramble bench` measures a node's own. The bound is what a
board's memory gives at most, the usual band what published runs of llama.cpp and Ollama moved
(tokens/s times the file's size). Prefill computes rather than reads, so its range depends on the
number of weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bramble.fit.memory import Request, kv_bytes
from bramble.models.geometry import Geometry

GB = 1e9
CACHED_BYTES = 16 << 20
"""A model whose tokens read less than this may lie in the processor's caches, and has no such bound."""

FAR_BELOW = 0.75
"""A speed below this share of the usual band's lower end needs an explanation."""

# The share of a measured bandwidth that generation uses at least: 3.15 of 5.56 GB/s on a Pi 4 and
# 9.3 of 17.1 on a Pi 5, by the figures below.
USUAL_SHARE = 0.54

FROM_DISK = (
    "The model does not fit, so weights are read from the disk, or swapped, for each token, and the "
    "disk's speed decides"
)


@dataclass(frozen=True)
class Bandwidth:
    """A board's memory in GB/s, with the sources of its figures.

    `prefill` is in 10^9 weights multiplied per second for a prompt.
    """

    bound: float
    bound_source: str
    usual: tuple[float, float]
    usual_source: str
    prefill: tuple[float, float] | None = None
    prefill_source: str = ""
    cached_bytes: int = CACHED_BYTES


PUBLISHED: Mapping[str, Bandwidth] = {
    "pi4": Bandwidth(
        5.56,
        "STREAM on a Pi 4, the best of four (sci-pi.org.uk/bench/stream.html); the bus itself: 12.8",
        (2.5, 4.4),
        "17 published runs move 2.5 to 4.4 GB/s, ten of them 3.15 to 3.65",
        (8, 11),
        "gemma-4-E2B and E4B (potato-os docs/benchmarks), TinyLlama Q8_0 (llamafile)",
    ),
    "pi5": Bandwidth(
        17.1,
        "the bus itself (LPDDR4X-4267, 32 bits); no published run moves more than 12.5",
        (9.3, 12.5),
        "9.3 to 12.5 GB/s: llama-bench on a CM5 (geerlingguy/beowulf-ai-cluster#6), Ollama on a Pi 5 "
        "and 500+ (geerlingguy/ai-benchmarks), Qwen3-4B Q5_K_S (potato-os)",
        (33, 100),
        "Llama-3.2-3B (beowulf-ai-cluster#6), Llama2-7B (llama.cpp#6928), Qwen2.5-Omni-3B, "
        "gemma-4-E4B (potato-os), Qwen3-30B-A3B (ai-benchmarks#47)",
    ),
}
"""By the beginning of a board's name."""

FAMILY: Mapping[str, str] = {
    "pi4": "pi4",
    "pi400": "pi4",
    "cm4": "pi4",
    "pi5": "pi5",
    "cm5": "pi5",
    "pi500": "pi5",
}
"""Boards with the same memory, by the kind in their revision code."""


BUS_GB_S: Mapping[str, float] = {"pi4": 12.8, "pi5": 17.1}
"""The most that the bus between processor and memory transfers; no measurement can exceed it."""


def family(kind: str) -> str:
    """Return the family of a board's kind, or of a name such as pi4-8g; empty for other boards."""
    return FAMILY.get(kind.partition("-")[0], "")


def measured(
    gb_s: float,
    source: str = "measured on the node",
    kind: str = "",
    cached_bytes: int = CACHED_BYTES,
) -> Bandwidth:
    """Return the bound measured on a node, with the published usual band of its kind."""
    published = PUBLISHED.get(family(kind))
    if published and published.usual[0] < gb_s:
        low, high = published.usual
        return replace(
            published,
            bound=gb_s,
            bound_source=source,
            usual=(low, min(high, gb_s)),
            cached_bytes=cached_bytes,
        )
    usual = f"{USUAL_SHARE:.0%} of it at least on published boards"
    return Bandwidth(gb_s, source, (USUAL_SHARE * gb_s, gb_s), usual, cached_bytes=cached_bytes)


@dataclass(frozen=True)
class Speed:
    """Tokens per second, and what they follow from; `full` is with a full context."""

    bytes_per_token: int
    bytes_per_token_full: int
    bound_gb_s: float
    bound_source: str
    most: float | None
    most_full: float | None
    usual: tuple[float, float] | None
    usual_source: str
    prefill: tuple[float, float] | None
    prefill_source: str


def speed(model: Geometry, bandwidth: Bandwidth, request: Request) -> Speed:
    """Compute the bound and the usual band of generation, and the range of prefill."""
    read = model.weights.active_bytes
    full = read + kv_bytes(model, replace(request, slots=1))
    bounded = read >= bandwidth.cached_bytes
    elements = max(model.weights.active_elements, 1)
    return Speed(
        bytes_per_token=read,
        bytes_per_token_full=full,
        bound_gb_s=bandwidth.bound,
        bound_source=bandwidth.bound_source,
        most=_round(bandwidth.bound * GB / read) if bounded else None,
        most_full=_round(bandwidth.bound * GB / full) if bounded else None,
        usual=_band(bandwidth.usual, read) if bounded else None,
        usual_source=bandwidth.usual_source,
        prefill=_band(bandwidth.prefill, elements) if bandwidth.prefill and bounded else None,
        prefill_source=bandwidth.prefill_source,
    )


@dataclass(frozen=True)
class Claim:
    """The verdict on a figure that somebody gives."""

    tokens_per_s: float
    needs_gb_s: float
    verdict: Literal["impossible", "unlikely", "plausible", "far below", "unbounded"]
    sentence: str


def judge(tokens_per_s: float, found: Speed, fits: bool, why: str | None = None) -> Claim:
    """Compare a speed of generation with the bound and the usual band; `why` explains a low one."""
    needs = tokens_per_s * found.bytes_per_token / GB
    takes = f"{tokens_per_s:g} tokens/s read {needs:.1f} GB/s"
    if found.most is None or found.usual is None:
        words = "the model is so small that it may lie in the processor's caches"
        return Claim(tokens_per_s, _round(needs), "unbounded", f"No bound: {words}.")
    low, high = found.usual
    # Both, because what is shown as the most has two digits.
    if tokens_per_s > found.most and needs > found.bound_gb_s:
        rest = f"and the memory gives {found.bound_gb_s:g} at most ({found.bound_source})"
        return Claim(tokens_per_s, _round(needs), "impossible", f"Impossible: {takes}, {rest}.")
    if not fits:
        return Claim(tokens_per_s, _round(needs), "unlikely", f"Unlikely: {takes}. {FROM_DISK}.")
    if tokens_per_s > high:
        rest = (
            f"more than any published run of such a board; usual are {low:g} to {high:g} tokens/s"
        )
        return Claim(tokens_per_s, _round(needs), "unlikely", f"Unlikely: {takes}, {rest}.")
    if tokens_per_s >= FAR_BELOW * low:
        rest = f"and {low:g} to {high:g} tokens/s are usual"
        return Claim(tokens_per_s, _round(needs), "plausible", f"Plausible: {takes}, {rest}.")
    reasons = _causes(found) if why is None else why
    rest = f"and {low:g} to {high:g} tokens/s are usual. {reasons}".rstrip()
    return Claim(tokens_per_s, _round(needs), "far below", f"Far below: {takes}, {rest}")


def _causes(found: Speed) -> str:
    """Name what makes a node slow, the most likely first."""
    causes = [
        "throttled by heat or a weak supply (`vcgencmd get_throttled`; power.* of `bramble verify`)",
        "memory short and swapping (serving.memory_is_enough, /proc/pressure/memory)",
        "more threads than free cores (serving.threads)",
        "a desktop or other programs beside it",
        "a build for another processor (engine.* of `bramble verify`)",
        f"a long conversation: with a full context {found.most_full:g} tokens/s is the bound",
    ]
    return f"To look at: {'; '.join(causes)}."


def _band(band: tuple[float, float], per_token: int) -> tuple[float, float]:
    low, high = band
    return _round(low * GB / per_token), _round(high * GB / per_token)


def _round(value: float) -> float:
    """Round to two significant digits: no more is known."""
    return float(f"{value:.2g}") if value < 100 else float(round(value))
