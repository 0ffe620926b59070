"""Whether a host is as it was planned, as far as somebody looked: the node itself, or the last audit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bramble.audit import since
from bramble.history import Entry, entries
from bramble.sanitize import sentence
from bramble.status.said import Said

MOST_RUNS = 200
_LAST_S = 253_402_300_799  # of the year 9999
Found = Literal["none", "differs", "unknown"]


class Drift(BaseModel):
    """What was found of a host's files and steps, by whom and when."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )

    found: Found = Field(default="unknown", description="`none`: as planned.")
    by: Literal["node", "audit"] | None = Field(
        default=None,
        description="`node`: its own look at its files (role monitoring); `audit`: the last "
        "`bramble audit`; null: nobody looked.",
    )
    what: str = Field(default="", description="What differs, for people.")
    at: datetime | None = Field(default=None, description="When that was looked at, UTC.")
    deployed: datetime | None = Field(
        default=None, description="When a run of this computer last changed the host, UTC."
    )

    @property
    def is_outdated(self) -> bool:
        """Whether the host was changed by a run after that look."""
        return bool(self.at and self.deployed and self.deployed > self.at)


@dataclass(frozen=True)
class Changes:
    """What this computer's reports have of a host."""

    audit: Drift | None = None
    deployed: datetime | None = None

    def drift(self, said: Said | None = None) -> Drift:
        """Return the node's own word where it gives one, else the audit's."""
        own = _own(said) if said else None
        found = own or self.audit or Drift()
        return found.model_copy(update={"deployed": self.deployed})


def _own(said: Said) -> Drift | None:
    at_s = said.files_at_s
    if at_s is None or not 0 <= at_s <= _LAST_S:
        return None
    found: Found = "unknown" if said.files_ok is None else "none" if said.files_ok else "differs"
    what = sentence(said.files_said or "") if said.files_ok is False else ""
    return Drift(found=found, by="node", what=what, at=_utc(at_s))


def changes(folder: Path, hosts: Sequence[str]) -> dict[str, Changes]:
    """Return what the reports of a folder have of these hosts."""
    audits, deploys = _audits(folder, hosts), _deploys(entries(folder))
    return {host: Changes(audits.get(host), deploys.get(host)) for host in hosts}


def _audits(folder: Path, hosts: Sequence[str]) -> dict[str, Drift]:
    try:
        last = since.last(folder, hosts)
    except since.NoAudit:
        return {}
    words: dict[str, Found] = {"as planned": "none", "differs": "differs"}
    found = {}
    for host in last.hosts:
        wrong = sum(item.status == "fail" for item in host.items)
        what = f"{wrong} of {len(host.items)}" if wrong else ""
        at = _aware(host.looked_at or last.at)
        state = words.get(host.state, "unknown")
        found[host.host] = Drift(found=state, by="audit", what=what, at=at)
    return found


def _deploys(runs: Iterable[Entry | Path]) -> dict[str, datetime]:
    """Return when a run last had something to do on each host; later runs come first."""
    found: dict[str, datetime] = {}
    for entry in islice(runs, MOST_RUNS):
        if isinstance(entry, Entry):
            for host, did in entry.hosts.items():
                if did.steps:
                    found.setdefault(host, _utc(entry.ended_s or entry.began_s))
    return found


def _utc(at_s: float) -> datetime:
    return datetime.fromtimestamp(int(at_s), UTC)


def _aware(at: datetime) -> datetime:
    """Return a time with its zone; nodes tell UTC."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
