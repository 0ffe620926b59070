"""The benchmark of instructions fails where the kernels that should be selected are not."""

from dataclasses import replace
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
# Millions of instructions per token: Q4_0's answers as `make bench` counted them.
COUNTED = (
    ("cortex-a72", "plain", 108.03, 108.03),
    ("cortex-a76", "plain", 31.99, 80.44),
    ("cortex-a72", "kleidiai", 108.05, 108.05),
    ("cortex-a76", "kleidiai", 38.45, 80.45),
)


@pytest.fixture
def guard(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import instructions

    return instructions


@pytest.fixture
def counts(guard):
    return [
        guard.Count(soc, variant, "Q4_0", "answer", fast, without)
        for soc, variant, fast, without in COUNTED
    ]


def test_what_was_counted_is_well(guard, counts):
    assert list(guard.problems(counts)) == []
    assert list(guard.problems(counts[:2])) == []  # without KleidiAI's archive


@pytest.mark.parametrize(
    ("number", "change", "words"),
    [
        (1, {"fast": 80.44}, ["without the fast kernels; not selected?", "dotprod is not used?"]),
        (1, {"fast": 108.0, "without": 180.0}, ["1.00 of an A72's; dotprod is not used?"]),
        (0, {"fast": 90.0}, ["yet no kernel can run", "KleidiAI changes a Cortex-A72's by +20.1%"]),
        (2, {"fast": 70.0, "without": 70.0}, ["KleidiAI changes a Cortex-A72's by -35.2%"]),
        (3, {"fast": 80.45}, ["with KleidiAI: 1.00 of what it takes", "dotprod is not used?"]),
    ],
)
def test_kernels_that_are_not_selected_or_run_where_none_can_are_told(
    guard, counts, number, change, words
):
    counts[number] = replace(counts[number], **change)
    found = list(guard.problems(counts))
    assert len(found) == len(words)
    for said, word in zip(found, words, strict=True):
        assert word in said
