"""What every format is made of: the results of one run, sanitized, with what is wrong first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from bramble.checks import Result, Status
from bramble.reporting.history import History
from bramble.sanitize import clean

Each = TypeVar("Each")

ORDER: tuple[Status, ...] = ("fail", "unknown", "warn", "pass", "skip")
"""The worst first."""

WELL: tuple[Status, ...] = ("pass", "skip")


@dataclass(frozen=True)
class Checked:
    """What a command found, and when; `history` is what kept reports have, for those who draw it.

    Nodes say much of the texts, and so may one that somebody else has taken over.
    """

    command: str
    at_s: float
    results: tuple[Result, ...]
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        """Sanitize every text, so that no format has to."""
        cleaned = tuple(Result(**clean(result.as_dict())) for result in self.results)
        object.__setattr__(self, "results", cleaned)

    @property
    def hosts(self) -> dict[str, tuple[Result, ...]]:
        """The results of each host; hosts and, in each, results with what is wrong first."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.host, []).append(result)
        by_name = {host: worst_first(several) for host, several in found.items()}
        return dict(sorted(by_name.items(), key=lambda pair: ORDER.index(worst(pair[1]))))

    @property
    def at(self) -> str:
        """When, in UTC."""
        return utc(self.at_s)


def utc(at_s: float) -> str:
    """Return a time in UTC, as all reports have it."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def worst(results: Sequence[Result]) -> Status:
    """Return the worst status of these results; what told nothing is unknown."""
    return min((result.status for result in results), key=ORDER.index, default="unknown")


def worst_first(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return what is not well by role, the role with the worst first; then the rest by role."""
    roles: dict[str, list[Result]] = {}
    for result in results:
        roles.setdefault(result.role, []).append(result)
    turns = {name: (ORDER.index(worst(roles[name])), turn) for turn, name in enumerate(roles)}

    def place(result: Result) -> tuple[bool, tuple[int, int], int]:
        return result.status in WELL, turns[result.role], ORDER.index(result.status)

    return tuple(sorted(results, key=place))


def wrong(results: Iterable[Result]) -> tuple[Result, ...]:
    """Return the results that people have to look at."""
    return tuple(result for result in results if result.status not in WELL)


def counts(results: Iterable[Result]) -> dict[Status, int]:
    """Return how many results have each status, the worst first."""
    found = Counter(result.status for result in results)
    return {status: found[status] for status in ORDER}


def in_words(results: Iterable[Result]) -> str:
    """Return the counts that are not 0 as words: `1 fail, 40 pass`."""
    found = counts(results)
    return ", ".join(f"{number} {status}" for status, number in found.items() if number)


def together(several: Iterable[Each], key: Callable[[Each], Hashable]) -> list[list[Each]]:
    """Return groups of those that have the same key, in the order of each group's first one."""
    groups: dict[Hashable, list[Each]] = {}
    for each in several:
        groups.setdefault(key(each), []).append(each)
    return [*groups.values()]


def one_line(text: str) -> str:
    """Return a text in one line, for formats whose records are lines."""
    return " ".join(text.split())
