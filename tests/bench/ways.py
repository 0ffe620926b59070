"""The ways to one model beside each other: first tokens, requests, and what a client leaves behind."""

import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clones import BenchError, say

from tests.nodes.streams import Way, ask

TOKENS = 32
# What is promised: the way in costs no more.
MOST_MS, MOST_SHARE = 5.0, 0.02
LONG_TOKENS = 1500  # a digit each
STAYS = 0.25  # of the time that the long prompt takes
QUESTION = {"prompt": "What is 2+2?", "temperature": 0, "ignore_eos": True}


@dataclass(frozen=True)
class Turn:
    """The requests of one way in one round, one after the other on one connection."""

    new_ms: float
    """To the first token, connection and handshake with it."""
    kept_ms: float
    """To the first token, on the connection that is there; the median."""
    per_s: float
    """Requests in a second."""


def turn(way: Way, requests: int) -> Turn:
    """Ask so often, and once more for the connection."""
    connection = way.connect()
    begun = time.monotonic()
    answers = [
        ask(way, {**QUESTION, "max_tokens": TOKENS}, connection) for _ in range(requests + 1)
    ]
    took_s = time.monotonic() - begun
    connection.close()
    if bad := [answer for answer in answers if answer.outcome != "200"]:
        raise BenchError(f"{way.name}: an answer was {bad[0].outcome}")
    first, *kept = (answer.first_s * 1000 for answer in answers)
    return Turn(first, statistics.median(kept), len(answers) / took_s)


def rounds_of(ways: Sequence[Way], rounds: int, requests: int) -> list[dict[str, Turn]]:
    """So many rounds of all ways in turn, after one that does not count."""
    found = []
    for number in range(rounds + 1):
        found.append({way.name: turn(way, requests) for way in ways})
        said = "; ".join(f"{name} {one.kept_ms:.1f} ms" for name, one in found[-1].items())
        say(f"  round {number}: {said}")
    return found[1:]


@dataclass(frozen=True)
class Cost:
    """What a way takes more than `local`, each the median of the rounds' differences."""

    new_ms: float
    kept_ms: float
    share: float

    @property
    def is_within(self) -> bool:
        """Whether it is no more than what is promised."""
        return max(self.new_ms, self.kept_ms) <= MOST_MS and self.share <= MOST_SHARE


def cost(name: str, found: Sequence[Mapping[str, Turn]]) -> Cost:
    """Compare like with like: a way with `local` of the same round."""
    pairs = [(one[name], one["local"]) for one in found]
    return Cost(
        statistics.median(mine.new_ms - local.new_ms for mine, local in pairs),
        statistics.median(mine.kept_ms - local.kept_ms for mine, local in pairs),
        statistics.median(1 - mine.per_s / local.per_s for mine, local in pairs),
    )


def leave(way: Way, seconds: float, source: random.Random) -> float:
    """Send a long prompt, leave after these seconds; how long the next client waits for a token."""
    connection = way.connect()
    way.send(connection, {**QUESTION, "prompt": digits(source), "max_tokens": TOKENS})
    time.sleep(seconds)
    connection.close()
    return first_s(way, QUESTION["prompt"])


def digits(source: random.Random) -> str:
    """A prompt that was never sent before."""
    return "".join(source.choices("0123456789", k=LONG_TOKENS))


def first_s(way: Way, prompt: Any) -> float:
    """How long one token of an answer takes."""
    answer = ask(way, {**QUESTION, "prompt": prompt, "max_tokens": 1})
    if answer.outcome != "200":
        raise BenchError(f"{way.name}: an answer was {answer.outcome}")
    return answer.first_s


def left_by(ways: Sequence[Way], rounds: int) -> dict[str, dict[str, float]]:
    """By way: a whole long prompt, and the next client's wait after one that left; the medians."""
    source = random.Random(1)
    found: dict[str, dict[str, list[float]]] = {way.name: {"whole": [], "next": []} for way in ways}
    for number in range(rounds):
        for way in ways:
            whole = first_s(way, digits(source))
            found[way.name]["whole"].append(whole)
            found[way.name]["next"].append(leave(way, whole * STAYS, source))
            say(f"  leaving, round {number}: {way.name} {found[way.name]['next'][-1]:.2f} s")
    return {
        name: {part: statistics.median(several) for part, several in parts.items()}
        for name, parts in found.items()
    }
