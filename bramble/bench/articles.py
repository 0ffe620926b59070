"""Figures from articles for a model on a board (docs/explanation/articles.md), to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("articles.yml")


@dataclass(frozen=True)
class Row:
    """One row of an article: RAM in GB as written there, tokens/s from and to, and its remark."""

    article: str
    board: str
    model: str
    quant: str
    use: str | None = None
    ram: float | None = None
    generation: tuple[float, float] | None = None
    prompt: tuple[float, float] | None = None
    says: str = ""


@cache
def rows() -> tuple[Row, ...]:
    """Return every row, in the order of the articles."""
    return tuple(_row(entry) for entry in yaml.safe_load(FILE.read_text(encoding="utf-8"))["rows"])


def _row(entry: dict[str, object]) -> Row:
    bands = {
        name: (float(low), float(high))
        for name in ("generation", "prompt")
        if (band := entry.get(name)) and isinstance(band, list)
        for low, high in [band]
    }
    return Row(**{**entry, **bands})  # type: ignore[arg-type]


def of(model: str, family: str) -> tuple[Row, ...]:
    """Return the rows with a speed of exactly this model and quant on this kind of board."""
    return tuple(
        row
        for row in rows()
        if row.generation
        and row.board == family
        and row.use
        and f"{row.use}-{row.quant}".lower() == model.lower()
    )
