"""What a race decides: the figures of its runs, and a winner only where they leave no doubt."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bramble.llama.recipe import BUILD_USER
from bramble.outputs import EngineOutputs, ModelOutputs, ServingOutputs
from bramble.plan import NodePlan

NEEDED = (EngineOutputs, ModelOutputs, ServingOutputs)
"""The outputs that a node's plan needs, so that its programs can run as its service runs them."""
PLAIN = "plain"
PROMPT_TOKENS, ANSWER_TOKENS = 128, 32
"""One turn of a conversation: the tokens of the prompt and of the answer."""
COOL_S = 300
"""How long a board may cool before each run; one that starts hot would be throttled in it."""


def as_served(plan: NodePlan, rounds: int) -> dict[str, Any]:
    """Return the query of the program llama_bench: the node's model as its server runs it, in rounds."""
    serving = plan.outputs.need(ServingOutputs)
    return {
        "model": plan.outputs.need(ModelOutputs).path,
        "rounds": rounds,
        "prompt_tokens": PROMPT_TOKENS,
        "answer_tokens": ANSWER_TOKENS,
        "threads": serving.threads,
        "ubatch_tokens": serving.ubatch_tokens,
        "unit": serving.unit,
        "user": BUILD_USER,
    }


@dataclass(frozen=True)
class RaceRun:
    """One run of a variant: tokens per second of the prompt and of the answer."""

    prompt_tps: float
    answer_tps: float

    @property
    def turn_s(self) -> float:
        """The duration of the turn at these speeds: what a person waits, both parts together."""
        return PROMPT_TOKENS / self.prompt_tps + ANSWER_TOKENS / self.answer_tps


@dataclass(frozen=True)
class Contestant:
    """A variant with its runs, or with the problem that put it out of the race."""

    variant: str
    runs: tuple[RaceRun, ...]
    problem: str | None = None

    def median(self, name: str) -> float:
        """Return the median of one figure over the runs."""
        return float(statistics.median(getattr(run, name) for run in self.runs))

    def span(self, name: str) -> tuple[float, float]:
        """Return the smallest and the largest of one figure."""
        values = [getattr(run, name) for run in self.runs]
        return min(values), max(values)


@dataclass(frozen=True)
class Verdict:
    """The variant to use from now on, and why that one."""

    winner: str
    why: str
    entries: tuple[Contestant, ...]

    @property
    def gain(self) -> float:
        """How many times faster than plain's the winner's median turn is."""
        by_name = {entry.variant: entry for entry in self.entries}
        return by_name[PLAIN].median("turn_s") / by_name[self.winner].median("turn_s")


def entries(runs: Iterable[Mapping[str, Any]]) -> tuple[Contestant, ...]:
    """Return the node's own record of its runs, by variant in the order in which they began."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        found.setdefault(run["variant"], []).append(run)
    return tuple(
        Contestant(
            variant,
            tuple(
                RaceRun(run["prompt_tps"], run["answer_tps"])
                for run in made
                if not run.get("problem")
            ),
            next((run["problem"] for run in made if run.get("problem")), None),
        )
        for variant, made in found.items()
    )


def decide(found: Sequence[Contestant]) -> Verdict | None:
    """Return the fastest variant whose slowest turn is faster than plain's fastest; else plain.

    None where plain itself does not compute: then there is nothing to compare with.
    """
    plain = next((entry for entry in found if entry.variant == PLAIN), None)
    if plain is None or plain.problem:
        return None
    others = [entry for entry in found if entry is not plain and entry.problem is None]
    quickest = plain.span("turn_s")[0]
    clear = [entry for entry in others if entry.span("turn_s")[1] < quickest]
    if clear:
        best = min(clear, key=lambda entry: entry.median("turn_s"))
        return Verdict(
            best.variant,
            f"its slowest turn took {best.span('turn_s')[1]:.3f} s, plain's quickest {quickest:.3f} s",
            tuple(found),
        )
    why = (
        "no other variant's slowest turn was quicker than its quickest" if others else "it is alone"
    )
    return Verdict(PLAIN, why, tuple(found))


def table(found: Sequence[Contestant]) -> str:
    """Return the medians with the smallest and the largest figures, a line for each variant."""
    heading = ("VARIANT", "PROMPT", "ANSWER", "TURN", "AGAINST PLAIN")
    rows = [heading, *(_row(entry, found) for entry in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def _row(entry: Contestant, found: Sequence[Contestant]) -> tuple[str, ...]:
    if entry.problem:
        return (entry.variant, entry.problem, "", "", "")
    plain = next((other for other in found if other.variant == PLAIN and not other.problem), None)
    ratio = f"{plain.median('turn_s') / entry.median('turn_s'):.2f} x" if plain else "-"
    return (
        entry.variant,
        f"{_spread(entry, 'prompt_tps', 1)} t/s",
        f"{_spread(entry, 'answer_tps', 1)} t/s",
        f"{_spread(entry, 'turn_s', 3)} s",
        ratio,
    )


def _spread(entry: Contestant, name: str, digits: int) -> str:
    """Format a figure's median (smallest-largest)."""
    low, high = entry.span(name)
    return f"{entry.median(name):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
