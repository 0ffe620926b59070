"""The language of the demo model: an endless, seeded stream of short questions with their answers.

Pure: standard library and language.yml only.  Every example has a *key*; a hash of the key says
for ever whether it is for training or held out, so no held-out example can leak into training.
What a key stands for is what the category can generalise over:

* add, subtract, compare, parity: the numbers.  A held-out pair is in no training question of its
  category, in whatever wording (or order, where the order makes no difference).
* multiply, membership, kind, fact: the wording.  The item (7 x 8, zram, banana) was learned
  through other wordings; a table can be learned but not guessed.
* review, log, summary, unknown: the whole text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import sums
import words
from example import Example, is_held_out, normalise

import reports

HELD_OUT_SEED = 7

# Weights follow what is hard: two-digit sums need by far the most examples.
WEIGHTS: dict[Callable[[Random], Example], float] = {
    sums.add: 28, sums.subtract: 20, sums.multiply: 7, sums.compare: 8, sums.parity: 3,
    words.membership: 4, words.kind: 4, words.review: 4, words.log_level: 2, words.fact: 9,
    words.small_talk: 1, words.unknown: 6, reports.summary: 7,
}  # fmt: skip


def stream(seed: int, held_out: bool = False) -> Iterator[Example]:
    """Yield examples of one side of the split without end; the same seed gives the same ones."""
    rng = Random(seed)
    tasks, weights = list(WEIGHTS), list(WEIGHTS.values())
    while True:
        example = rng.choices(tasks, weights)[0](rng)
        if is_held_out(example.key) == held_out:
            yield example


def held_out_set(per_category: int, seed: int = HELD_OUT_SEED) -> list[Example]:
    """Return up to `per_category` distinct held-out questions of every category that has any."""
    found: list[Example] = []
    for task in WEIGHTS:
        rng = Random(f"{seed} {task.__name__}")
        seen: dict[str, Example] = {}
        for _ in range(60 * per_category):  # small categories run dry before they are full
            example = task(rng)
            if is_held_out(example.key):
                seen.setdefault(normalise(example.question), example)
            if len(seen) == per_category:
                break
        found += seen.values()
    return found
