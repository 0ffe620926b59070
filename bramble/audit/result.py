"""An audit's results: one typed item for each step, check and stranger, as every writer gets them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bramble.checks import Result, Status

VERSION = 1
ROLE = "audit"
"""Whose results strangers are, where no role's."""

Told = Literal["pass", "warn", "fail", "skip", "unknown", "waived"]
State = Literal["as planned", "differs", "unknown"]
Change = Literal["new", "changed", "gone"]
STEP, CHECK, REFUSAL, WAIVER = "step", "check", "refusal", "waiver"


class Value(BaseModel):
    """A value that stays as it was made."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class SudoLine(Value):
    """A command that somebody ran by sudo before a change."""

    at: datetime = Field(description="When it began, UTC.")
    user: str = Field(description="Who ran it.")
    command: str = Field(description="The command, without what may be a secret.")


class Origin(Value):
    """Who changed a file and when, as far as the node can tell."""

    path: str = Field(description="The file or folder.")
    owner: str | None = Field(description="`USER:GROUP` and the mode; null: it is not there.")
    modified: datetime | None = Field(description="When its content was written, UTC.")
    changed: datetime | None = Field(description="When anything of it was changed, UTC.")
    package: str | None = Field(description="The Debian package that it is of.")
    as_packaged: bool | None = Field(
        description="Whether it is as that package has it; null: dpkg has no checksum of it."
    )
    sudo: tuple[SudoLine, ...] = Field(
        description="The last commands by sudo that name it, or that began shortly before the change."
    )
    not_known: tuple[str, ...] = Field(description="What could not be told, in words.")


class Waived(Value):
    """Who answers for something that is left as it is, why, and until when."""

    owner: str
    reason: str
    until: date = Field(description="The last day.")
    status: Told = Field(description="What its status is without the waiver.")


class Item(Value):
    """One thing that an audit tells of a host; `id` is what a waiver names."""

    id: str = Field(description="What a waiver names; the same in every audit.")
    kind: str = Field(
        description="`step`, `check`, `refusal`, `waiver`, or the kind of a stranger."
    )
    role: str = Field(description="The role that it is of; `audit` where it is of none.")
    status: Told = Field(description="`waived` is no pass.")
    got: str = Field(description="What the node shows, for people.")
    want: str = Field(description="What is wanted, for people.")
    remedy: str = Field(default="", description="What to do; empty where there is nothing.")
    diffs: tuple[str, ...] = Field(
        default=(), description="Unified differences of files; of a secret only hashes."
    )
    origins: tuple[Origin, ...] = Field(default=(), description="Who changed its files, and when.")
    waiver: Waived | None = Field(default=None, description="Why it is left as it is.")
    change: Change | None = Field(
        default=None, description="With --since: how it differs from the earlier audit."
    )

    @property
    def is_told(self) -> bool:
        """Whether people are told of it without asking for all."""
        return self.status not in ("pass", "skip") or self.change is not None


class HostAudit(Value):
    """What one host's audit found."""

    host: str
    state: State = Field(description="`unknown`: the host, or a part of it, could not be told.")
    why: str = Field(default="", description="Why the host could not be told; empty otherwise.")
    looked_at: datetime | None = Field(
        default=None, description="When it was looked at, UTC, by its own clock."
    )
    items: tuple[Item, ...] = ()

    def results(self) -> tuple[Result, ...]:
        """Return the items as the results of checks, which reports of any kind are written from."""
        return tuple(_result(self.host, item) for item in self.items)


class Audit(Value):
    """What `bramble audit --json` prints, and what is kept of each audit in reports/."""

    kind: Literal["bramble audit"] = "bramble audit"
    version: Literal[1] = 1
    at: datetime = Field(description="When it ended, UTC.")
    since: str | None = Field(
        default=None, description="The earlier audit that only differences from are told."
    )
    hosts: tuple[HostAudit, ...]


def _result(host: str, item: Item) -> Result:
    """Return an item as the result of a check: a waived one warns."""
    status: Status = "warn" if item.status == "waived" else item.status
    name = item.id.removeprefix(f"{item.role}.") if item.kind == CHECK else item.id
    return Result(host, item.role, name, status, item.want, item.got, item.remedy)


def state_of(items: tuple[Item, ...]) -> State:
    """Return a host's state by its items: what differs is worse than what could not be told."""
    statuses = {item.status for item in items if item.change != "gone"}
    return "differs" if "fail" in statuses else "unknown" if "unknown" in statuses else "as planned"


def exit_code(hosts: tuple[HostAudit, ...]) -> int:
    """Return 0 for nothing, 2 for what differs, 1 where a host or all that might differ is unknown."""
    if not hosts or any(host.why for host in hosts):
        return 1
    states = {host.state for host in hosts}
    return 2 if "differs" in states else 1 if "unknown" in states else 0
