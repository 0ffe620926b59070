"""What a node's figures mean, by its memory, its kind, its last result and the articles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from bramble.bench import articles
from bramble.bench.diagnosis import OTHERS_CORES, Cause, causes, explained
from bramble.bench.result import Result
from bramble.fit.speed import (
    BUS_GB_S,
    CACHED_BYTES,
    GB,
    PUBLISHED,
    Bandwidth,
    Claim,
    Speed,
    family,
    judge,
    measured,
    speed,
)
from bramble.fit.verdict import request_for

OF_PROCESSOR = 0.8
"""Above this share of what all cores read from caches, the cores limit the figure, not the memory."""

SAME_MEMORY = 0.02

UNKNOWN_MODEL = (
    "Nobody knows how many bytes a token of this model reads, so there is no bound: "
    "`bramble model lock` finds out for models of models.yml"
)


@dataclass(frozen=True)
class Comparison:
    """A result compared with the one before: the ratio of medians, and whether the runs overlap."""

    verdict: Literal["first", "other", "faster", "slower", "same"]
    sentence: str
    ratio: float | None = None


@dataclass(frozen=True)
class Judged:
    """A result with its conclusions.

    `share` is the part of the bandwidth bound that generation reached; `doubt` says why the measured
    bandwidth is no bound of this node.
    """

    result: Result
    bandwidth: Bandwidth | None
    doubt: str | None
    speed: Speed | None
    claim: Claim | None
    share: float | None
    prefill: str | None
    causes: tuple[Cause, ...]
    because: tuple[str, ...]
    comparison: Comparison
    articles: tuple[articles.Row, ...]

    @property
    def ok(self) -> bool:
        """Whether it ended with figures that are neither impossible nor far below."""
        bad = self.claim is not None and self.claim.verdict in ("impossible", "far below")
        return bool(self.result.good) and self.result.problem is None and not bad


def doubt(result: Result) -> str | None:
    """Say why the measured bandwidth is no bound of this node; return None where it is one."""
    reported = result.bandwidth
    if reported.gb_s is None:
        return reported.problem or "it was not measured"
    bus = BUS_GB_S.get(family(result.board.kind))
    if bus is not None and reported.gb_s > bus:
        return f"{reported.gb_s:.1f} GB/s exceed the bus ({bus:g}): caches, or no such board"
    # All cores were tried: where fewer read as much, memory was the limit.
    if reported.gb_s > OF_PROCESSOR * reported.cached_gb_s * result.board.cores:
        return "the cores read no faster from their caches, so memory may give more"
    if result.seen.held_back_now:
        return f"the board was held back then ({', '.join(result.seen.held_back_now)})"
    if reported.others_cores > OTHERS_CORES:
        return f"other programs took {reported.others_cores:.1f} cores then"
    return None


def bandwidth_of(result: Result) -> tuple[Bandwidth | None, str | None]:
    """Return the node's bound, measured or else published, and why the measured one is not used."""
    why, reported = doubt(result), result.bandwidth
    if why is None and reported.gb_s is not None:
        source = f"measured on {result.host} at {result.at}"
        cached = max(CACHED_BYTES, 2 * reported.caches_bytes)
        return measured(round(reported.gb_s, 2), source, result.board.kind, cached), None
    published = PUBLISHED.get(family(result.board.kind))
    cached = max(CACHED_BYTES, 2 * reported.caches_bytes)
    return (replace(published, cached_bytes=cached) if published else None), why


def latest_bandwidth(
    results: Iterable[Result], board_kind: str, memory_mib: int
) -> Bandwidth | None:
    """Return this board's newest measured bandwidth that is not in doubt; None where there is none."""
    for result in results:
        kind, mib = result.board.kind, result.board.memory_mib
        if (kind == board_kind) and _alike(mib, memory_mib) and doubt(result) is None:
            return bandwidth_of(result)[0]
    return None


def _alike(one_mib: int, other_mib: int) -> bool:
    """Return whether it is the same memory: another kernel leaves slightly more or less of it."""
    return abs(one_mib - other_mib) <= SAME_MEMORY * max(one_mib, other_mib)


def judged(result: Result, before: Result | None) -> Judged:
    """Draw all conclusions from a result, with the one before it."""
    bound, why = bandwidth_of(result)
    model = result.model.dimensions.geometry if result.model.dimensions else None
    fast = speed(model, bound, request_for(model, None)) if model and bound else None
    shown = causes(result, model.weights.file_bytes if model else None)
    answer = result.median("answer_tps")
    claim = judge(_three(answer), fast, True, "") if answer and fast else None
    if claim and claim.verdict == "impossible":
        claim = replace(claim, sentence=f"{claim.sentence} {_impossible(result, why)}")
    low = claim is not None and claim.verdict == "far below"
    return Judged(
        result=result,
        bandwidth=bound,
        doubt=why,
        speed=fast,
        claim=claim,
        share=_share(answer, fast),
        prefill=_prefill(result, fast),
        causes=shown,
        because=explained(shown) if low else (),
        comparison=compared(result, before),
        articles=articles.of(result.model.name, family(result.board.kind)),
    )


def _three(value: float) -> float:
    """Round to three significant digits, for sentences."""
    return float(f"{value:.3g}")


def number(value: float) -> str:
    """Format with two decimals, below 100."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _share(answer: float | None, fast: Speed | None) -> float | None:
    """Return the part of memory's bandwidth that generation used; None where memory is no bound."""
    if answer is None or fast is None or fast.most is None:
        return None
    return answer * fast.bytes_per_token / fast.bound_gb_s / GB


def _impossible(result: Result, why: str | None) -> str:
    """Say which of the two figures to doubt."""
    if why is not None:
        return (
            f"The node's own bandwidth is not counted ({why}), so measure again; if it stays, the board "
            "is no such board, or its clocks are raised."
        )
    return (
        "One of the two measurements is wrong: measure again on a quiet node; if it stays, the model "
        f"on the node is not {result.model.name} as it is locked."
    )


def _prefill(result: Result, fast: Speed | None) -> str | None:
    """Compare a prompt's speed with the range of published runs."""
    reported = result.median("prompt_tps")
    if reported is None or fast is None or fast.prefill is None:
        return None
    low, high = fast.prefill
    where = "below" if reported < low else "above" if reported > high else "within"
    return f"{where} the published {low:g} to {high:g} tokens/s"


# What must be equal for two results to be compared, with its name for people.
_SAME: tuple[tuple[str, Callable[[Result], object]], ...] = (
    ("board", lambda r: r.board.kind),
    ("model", lambda r: r.model.sha256),
    ("release", lambda r: r.release.release),
    ("threads", lambda r: r.threads),
    ("micro-batch", lambda r: r.ubatch_tokens),
    ("lengths", lambda r: (r.prompt_tokens, r.answer_tokens)),
)


def compared(result: Result, before: Result | None) -> Comparison:
    """Call one result faster only where each run beats all of the other; throttled runs do not count."""
    if before is None:
        return Comparison("first", "there is no earlier result to compare with")
    for one in (result, before):
        if one.good and not one.free.good:
            why = f"the board was held back in every run of {one.at}, which compares with nothing"
            return Comparison("other", why)
    result, before = result.free, before.free
    new, old = result.span("answer_tps"), before.span("answer_tps")
    if new is None or old is None:
        return Comparison("other", f"the result of {before.at} or this one has no figures")
    changed = [name for name, of in _SAME if of(result) != of(before)]
    if not _alike(result.board.memory_mib, before.board.memory_mib):
        changed.insert(0, "memory")
    if "model" in changed:
        return Comparison("other", f"the answer of {before.at} was another model's")
    ratio = (result.median("answer_tps") or 0) / (before.median("answer_tps") or 1)
    reported = f"{ratio:.2f} times the answer of {before.at}"
    if changed:
        return Comparison("other", f"{reported}; but {', '.join(changed)} changed since", ratio)
    if new[0] > old[1]:
        return Comparison("faster", f"{reported}: faster in every run", ratio)
    if new[1] < old[0]:
        return Comparison("slower", f"{reported}: slower in every run", ratio)
    return Comparison("same", f"{reported}: no difference beyond the spread", ratio)


def beside(found: Judged) -> Iterator[str]:
    """Yield what the articles say of this model on such a board, with how that compares."""
    answer, prompt = (found.result.median(name) for name in ("answer_tps", "prompt_tps"))
    for row in found.articles:
        assert row.generation is not None
        board = {"pi4": "Pi 4", "pi5": "Pi 5"}[row.board]
        words = f"article {row.article} says {_times(row.generation, answer)} on a {board}"
        if found.speed:
            claim = judge(row.generation[1], found.speed, True, "")
            words += f": {claim.verdict} here"
        if row.prompt:
            words += f"; of a prompt {_times(row.prompt, prompt)}"
        yield words


def _times(theirs: tuple[float, float], ours: float | None) -> str:
    words = f"{band(*theirs)} tokens/s"
    if ours:
        low, high = (float(f"{value / ours:.2g}") for value in theirs)
        words += f" ({band(low, high)} times what was measured)"
    return words


def band(low: float, high: float) -> str:
    """Format a range; one figure where both ends are equal."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
