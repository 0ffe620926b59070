"""What is known of a host right now: its last line, when that came, and why there is none. Values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bramble.status.said import Said

OLD_S = 5
"""From this age on a line is told with its age."""

SILENT_S = 30
"""A host that was not heard for this long is told as silent."""


@dataclass(frozen=True)
class Known:
    """A host as it was heard; times are of this computer's monotonic clock."""

    since_s: float
    said: Said | None = None
    heard_s: float | None = None
    problem: str = ""

    def heard(self, said: Said, at_s: float) -> Known:
        """Return it after a line."""
        return replace(self, said=said, heard_s=at_s, problem="")

    def ended(self, problem: str) -> Known:
        """Return it after its connection ended, or could not be made."""
        return replace(self, problem=problem)

    def age_s(self, now_s: float) -> float | None:
        """Return how long ago it was heard; None where it never was."""
        return None if self.heard_s is None else max(now_s - self.heard_s, 0.0)

    def is_old(self, now_s: float) -> bool:
        """Return whether its last line does not tell of this moment."""
        age_s = self.age_s(now_s)
        return age_s is None or age_s >= OLD_S

    def is_silent(self, now_s: float) -> bool:
        """Return whether it was not heard for too long, from its first connection on."""
        return now_s - (self.since_s if self.heard_s is None else self.heard_s) >= SILENT_S
