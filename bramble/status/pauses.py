"""How long to wait before a host is asked again: longer each time, and two commands a minute at most."""

from __future__ import annotations

from collections import deque

FIRST_S, LONGEST_S = 2, 60
MINUTE_S, COMMANDS = 60, 2


class Pauses:
    """The pauses of one host; a connection that lasted for a minute is taken for a good one."""

    def __init__(self) -> None:
        self._failures = 0
        self._begun: deque[float] = deque(maxlen=COMMANDS)

    def begin(self, at_s: float) -> None:
        """Take up that a command was begun there."""
        self._begun.append(at_s)

    def after(self, at_s: float, lasted_s: float) -> float:
        """Return the seconds until the next attempt, after one that ended now and lasted so long."""
        self._failures = 0 if lasted_s >= MINUTE_S else self._failures + 1
        growing: float = min(FIRST_S * 2 ** max(self._failures - 1, 0), LONGEST_S)
        if len(self._begun) < COMMANDS:
            return growing
        return max(growing, self._begun[0] + MINUTE_S - at_s)
