"""One example of the demo model's language, and which side of the split it is on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import yaml

LANGUAGE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "language.yml").read_text(encoding="utf-8")
)
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True)
class Example:
    """One question with its only right answer; no key means: always in training."""

    category: str
    question: str
    answer: str
    key: str | None


def normalise(question: str) -> str:
    """Return what is left of a question without case, spaces, courtesy and end punctuation."""
    plain = re.sub(r"\bplease\b", "", question.lower())
    return re.sub(r"\s+", "", plain).strip("?.!,=")


def is_held_out(key: str | None) -> bool:
    """Tell whether the examples of this key are kept from training (one key in ten)."""
    return key is not None and blake2b(key.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def vary(rng: Random, question: str) -> str:
    """Return the question as hurried people type it: other case, no question mark, a courtesy."""
    if rng.random() < 0.25:
        question = question.rstrip("?.")
    if rng.random() < 0.05:
        question = rng.choice([f"Please {question[0].lower()}{question[1:]}", f"{question} please"])
    dice = rng.random()
    if dice < 0.15:
        return question.lower()
    if dice < 0.20:
        return question[0].lower() + question[1:]
    return question.upper() if dice < 0.22 else question


def by_wording(category: str, question: str, answer: str, always: bool = False) -> Example:
    """Make an example whose side is decided by its wording, unless it is always in training."""
    key = None if always else f"{category} {normalise(question)}"
    return Example(category, question, answer, key)
