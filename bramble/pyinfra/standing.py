"""Where a host stands in its run: which step of how many, and what its node tells of a long one.

One line tells it, beside pyinfra's own, on a terminal as in a log: `step 4 of 17: Install llama.cpp,
34 %, about 6 min left`; each is an event `progress` of the report too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bramble.report import Report

_PERCENT = re.compile(r"^\s*(\d{1,3}) %(?:.*\babout (\d+) (min|s) left)?")


@dataclass
class Standing:
    """Counts a host's steps: those that began, and what is due of each role by its latest look.

    What is due may change with every look, and with it of how many steps one is.
    """

    due: dict[str, int] = field(default_factory=dict)
    number: int = 0

    def expect(self, role: str, count: int) -> None:
        """Expect so many steps of a role."""
        self.due[role] = count

    def begin(self, role: str, left: int) -> tuple[int, int]:
        """Return which step begins, and of how many; `left` are its role's, this one included."""
        self.due[role] = left
        self.number += 1
        return self.number, self.number - 1 + sum(self.due.values())

    def over(self, role: str) -> None:
        """Expect nothing more of a role."""
        self.due.pop(role, None)


@dataclass(frozen=True)
class UnderWay:
    """The step that a host is in."""

    host: str
    step: str
    number: int
    of: int
    report: Report

    @property
    def words(self) -> str:
        """The step, for people."""
        return f"step {self.number} of {self.of}: {self.step}"

    def tell(self, percent: int | None = None, left_s: int | None = None) -> None:
        """Report how far it is, and about how long it still takes, where that is known."""
        self.report.write(
            "progress",
            host=self.host,
            step=self.step,
            number=self.number,
            of=self.of,
            percent=percent,
            left_s=left_s,
        )


_under_way: dict[str, UnderWay] = {}


def begun(host: str, step: str, turn: tuple[int, int], report: Report) -> str:
    """Report that a host begins a step, and return it in words."""
    now = _under_way[host] = UnderWay(host, step, *turn, report)
    now.tell()
    return now.words


def ended(host: str) -> None:
    """Forget the step that a host was in."""
    _under_way.pop(host, None)


def within(host: str, text: str) -> str:
    """Return what is told of a host, with the step that it is in."""
    now = _under_way.get(host)
    return f"{now.words}, {text}" if now else text


def told(host: str, line: str) -> str:
    """Return a line of a node's program as it is shown: how far it is, with the step that it is in."""
    now, found = _under_way.get(host), _PERCENT.match(line)
    if now is None or found is None:
        return line
    percent, left, unit = found.groups()
    now.tell(int(percent), int(left) * (60 if unit == "min" else 1) if left else None)
    return f"{now.words}, {line.strip()}"
