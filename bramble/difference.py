"""How a step changes one file: data that a unified diff is printed from, and checks read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Difference:
    """The text of one file now and as planned; None where there is no file.

    `attributes` are pairs of what else is seen and planned, such as mode and owner. A secret's text is
    left empty here, and its sha256 is an attribute.
    """

    path: str
    before: str | None = field(repr=False)
    after: str | None = field(repr=False)
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def removed(self) -> tuple[str, ...]:
        """The lines that are there and not planned."""
        return tuple(line[1:] for line in self._lines() if line[:1] == "-")

    @property
    def added(self) -> tuple[str, ...]:
        """The lines that are planned and not there."""
        return tuple(line[1:] for line in self._lines() if line[:1] == "+")

    @property
    def unified(self) -> str:
        """The unified diff for people, with the attributes below it."""
        reported = (f"{self.path}: {seen} -> {planned}\n" for seen, planned in self.attributes)
        return "".join([*self._diff(), *reported])

    def _diff(self) -> Iterator[str]:
        return difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            (self.after or "").splitlines(keepends=True),
            "/dev/null" if self.before is None else self.path,
            "/dev/null" if self.after is None else self.path,
        )

    def _lines(self) -> list[str]:
        """Return the lines of the diff without its two heads and their ends."""
        return "".join(self._diff()).splitlines()[2:]
