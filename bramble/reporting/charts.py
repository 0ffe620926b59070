"""A line over time as places in a drawing, with its words for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bramble.reporting.results import utc

WIDTH, HEIGHT = 340, 130
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 22

Series = Sequence[tuple[float, float]]
"""Times in seconds since 1970, each with a value."""


@dataclass(frozen=True)
class Point:
    """A place in the drawing."""

    x: float
    y: float


@dataclass(frozen=True)
class Chart:
    """What is drawn; `way` is the line, `dots` its measured values, `said` is all of it in words."""

    title: str
    said: str
    way: str
    dots: tuple[Point, ...]
    ticks: tuple[tuple[float, str], ...]
    first: str
    last: str
    plan: str = ""


def chart(title: str, unit: str, values: Series, planned: Series = ()) -> Chart | None:
    """Draw values, and as a second line what was planned; None where nothing is known."""
    if not values:
        return None
    everything = [*values, *planned]
    low, high = _span([value for _, value in everything])
    begin, end = min(at for at, _ in everything), max(at for at, _ in everything)

    def place(at: float, value: float) -> Point:
        along = (at - begin) / (end - begin) if end > begin else 0.5
        x = LEFT + along * (WIDTH - LEFT - RIGHT)
        y = TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return Point(round(x, 1), round(y, 1))

    dots = tuple(place(*pair) for pair in values)
    return Chart(
        title=title,
        said=_said(unit, values, planned),
        way=_way(dots),
        dots=dots,
        ticks=tuple((place(begin, value).y, number(value)) for value in (low, high)),
        first=utc(begin)[:10],
        last=utc(end)[:10] if end > begin else "",
        plan=_way([place(*pair) for pair in planned]),
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the scale: never the same, for a value that does not change."""
    low, high = min(values), max(values)
    room = (high - low) * 0.1 or max(abs(high) * 0.1, 1)
    return (max(low - room, 0) if low >= 0 else low - room), high + room


def _way(dots: Sequence[Point]) -> str:
    return " ".join(f"{dot.x},{dot.y}" for dot in dots)


def _said(unit: str, values: Series, planned: Series) -> str:
    amounts = [value for _, value in values]
    at_s, last = values[-1]
    words = f"last {number(last)} {unit} ({utc(at_s)[:16].replace('T', ' ')} UTC)"
    if len(values) > 1:
        ends = f"{number(min(amounts))} to {number(max(amounts))} {unit}"
        words = f"{words}, {ends} in {len(values)} runs"
    return f"{words}; planned {number(planned[-1][1])} {unit} (dashed)" if planned else words


def number(value: float) -> str:
    """Return a value with the digits that count."""
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2g}"
    )
