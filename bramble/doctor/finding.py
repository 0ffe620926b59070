"""One thing that was looked at: where, how it is, and the command that mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "wrong", "unknown"]

HERE = "this computer"


@dataclass(frozen=True)
class Finding:
    """What one look found; the remedy is empty where nothing is wrong."""

    where: str
    what: str
    status: Status
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def ok(where: str, what: str, found: str) -> Finding:
    """Return a finding of something that is as it should be."""
    return Finding(where, what, "ok", found)


def wrong(where: str, what: str, found: str, remedy: str) -> Finding:
    """Return a finding of something to mend."""
    return Finding(where, what, "wrong", found, remedy)


def unknown(where: str, what: str, found: str, remedy: str) -> Finding:
    """Return a finding of something that could not be told."""
    return Finding(where, what, "unknown", found, remedy)
