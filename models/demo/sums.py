"""The numbers in the demo model's language: sums, comparisons, even and odd."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from example import Example, by_wording, vary

LARGEST_TERM = 99  # of additions and subtractions
LARGEST_FACTOR = 12

# The bare forms are listed more than once: they are the most asked and the cheapest to learn from.
SUM_WORDINGS = {
    "+": [
        "What is {a}{op}{b}?", "{a}{op}{b}", "What is {a}{op}{b}?", "{a}{op}{b}", "{a}{op}{b}=",
        "Compute {a}{op}{b}.", "How much is {a}{op}{b}?", "Calculate {a}{op}{b}.",
        "What's {a}{op}{b}?", "{a} plus {b}", "What is {a} plus {b}?", "How much is {a} plus {b}?",
        "Add {a} and {b}.", "What is the sum of {a} and {b}?",
    ],
    "-": [
        "What is {a}{op}{b}?", "{a}{op}{b}", "What is {a}{op}{b}?", "{a}{op}{b}", "{a}{op}{b}=",
        "Compute {a}{op}{b}.", "How much is {a}{op}{b}?", "Calculate {a}{op}{b}.",
        "What's {a}{op}{b}?", "{a} minus {b}", "What is {a} minus {b}?",
        "How much is {a} minus {b}?",
        "Subtract {b} from {a}.", "Take {b} from {a}.",
    ],
    "*": [
        "What is {a}{op}{b}?", "{a}{op}{b}", "What is {a}{op}{b}?", "{a}{op}{b}", "{a}{op}{b}=",
        "Compute {a}{op}{b}.", "How much is {a}{op}{b}?", "Calculate {a}{op}{b}.",
        "What's {a}{op}{b}?", "{a} times {b}", "What is {a} times {b}?",
        "How much is {a} times {b}?",
        "Multiply {a} by {b}.", "What is the product of {a} and {b}?",
    ],
}  # fmt: skip


def sum_question(rng: Random, op: str, a: int, b: int) -> str:
    sign = rng.choice(["*", "*", "x"]) if op == "*" else op
    spaced = rng.choice([sign, f" {sign} "])
    question = rng.choice(SUM_WORDINGS[op]).format(a=a, b=b, op=spaced)
    return question.replace("=", " =") if spaced != sign else question


def _number(rng: Random) -> int:
    return rng.randint(0, 9) if rng.random() < 0.2 else rng.randint(0, LARGEST_TERM)


def add(rng: Random) -> Example:
    """Ask for a + b; sums of one-digit numbers are a table and always in training."""
    a, b = _number(rng), _number(rng)
    key = None if max(a, b) < 10 else f"add {min(a, b)} {max(a, b)}"
    return Example("add", vary(rng, sum_question(rng, "+", a, b)), str(a + b), key)


def subtract(rng: Random) -> Example:
    """Ask for a - b, which is never negative."""
    b, a = sorted((_number(rng), _number(rng)))
    key = None if max(a, b) < 10 else f"subtract {a} {b}"
    return Example("subtract", vary(rng, sum_question(rng, "-", a, b)), str(a - b), key)


def multiply(rng: Random) -> Example:
    """Ask for a times b of the table up to 12 x 12."""
    a, b = rng.randint(0, LARGEST_FACTOR), rng.randint(0, LARGEST_FACTOR)
    question = vary(rng, sum_question(rng, "*", a, b))
    return by_wording("multiply", question, str(a * b))


RELATIONS: list[tuple[str, Callable[[int, int], bool]]] = [
    ("greater than", int.__gt__), ("larger than", int.__gt__), ("more than", int.__gt__),
    ("less than", int.__lt__), ("smaller than", int.__lt__), ("equal to", int.__eq__),
]  # fmt: skip


def _yes(truth: bool) -> str:
    return "Yes." if truth else "No."


def compare(rng: Random) -> Example:
    """Ask whether one number is greater than, less than or equal to another."""
    a, b = _number(rng), _number(rng)
    words, holds = rng.choice(RELATIONS)
    if words == "equal to" and rng.random() < 0.5:
        b = a
    question = vary(rng, f"Is {a} {words} {b}?")
    return Example("compare", question, _yes(holds(a, b)), f"compare {min(a, b)} {max(a, b)}")


def parity(rng: Random) -> Example:
    """Ask whether a number below 1000 is even or odd."""
    n = rng.randint(0, rng.choice([20, 99, 999]))
    word = rng.choice(["even", "odd"])
    wording = rng.choice(["Is {} {}?", "Is {} an {} number?", "Is the number {} {}?"])
    truth = (n % 2 == 0) == (word == "even")
    key = None if n < 10 else f"parity {n}"
    return Example("parity", vary(rng, wording.format(n, word)), _yes(truth), key)
