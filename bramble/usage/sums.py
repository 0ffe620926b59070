"""The journals of several hosts as one sum: each request once, and tokens where they are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bramble.usage.said import Counts, Journal, Row

By = Literal["client", "node", "model", "day"]
NONE: Mapping[By, str] = {"client": "(no key)", "node": "(none)", "model": "(not told)", "day": ""}
"""What stands for a name that a line does not have."""


class Value(BaseModel):
    """A value that stays as it was made."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class Used(Value):
    """A sum; null is what no journal tells."""

    name: str = Field(description="The client, node, model or day that it is of.")
    requests: int = Field(description="Requests to a model, refused ones too.")
    refused: int = Field(description="Those that no node got.")
    failed: int = Field(description="Those that a node got, and that ended with an error or early.")
    tokens_in: int | None = Field(
        description="Tokens of prompts that llama-server read, without those that it still had."
    )
    tokens_out: int | None = Field(description="Tokens of answers.")
    work_s: float = Field(description="Seconds from the slot to the end of the answer.")
    queue_s: float = Field(description="Seconds that requests waited for a slot.")
    bytes_in: int = Field(description="Bytes of requests.")
    bytes_out: int = Field(description="Bytes of answers.")


class HostJournal(Value):
    """How much of it a host's journal has."""

    host: str
    problem: str = Field(default="", description="Why its journal is not in the sums.")
    begins: datetime | None = Field(default=None, description="The journal's first entry, UTC.")
    lost: int = Field(default=0, description="Lines that journald dropped, as there were too many.")
    unread: int = Field(default=0, description="Lines that could not be read.")
    left_out: int = Field(default=0, description="Lines of more sums than are kept.")


class Usage(Value):
    """What `bramble usage --json` prints."""

    kind: Literal["bramble usage"] = "bramble usage"
    version: Literal[1] = 1
    since: datetime = Field(description="From when on, UTC.")
    by: By
    rows: tuple[Used, ...]
    total: Used
    hosts: tuple[HostJournal, ...]


@dataclass(frozen=True)
class Gateway:
    """A gateway as its nodes know it: its name as a client, and the nodes that it leads to."""

    client: str
    nodes: frozenset[str]


def used(
    journals: Mapping[str, Journal], gateways: Mapping[str, Gateway], by: By
) -> tuple[tuple[Used, ...], Used]:
    """Return a sum for each name, the one with most requests first, and the sum of all."""
    read = [gateway for name, gateway in gateways.items() if name in journals]
    sums: dict[str, list[Counts]] = {}
    every, told = [], set[str]()
    for host, journal in journals.items():
        for row in _once(host, journal.rows, read):
            every.append(row.counts)
            name = _name(host, row, by)
            if name is None:
                continue
            sums.setdefault(name, []).append(row.counts)
            if row.kind == "model":
                told.add(name)
    rows = [_used(name, several, name in told) for name, several in sums.items()]
    tokens = any(row.kind == "model" for one in journals.values() for row in one.rows)
    order = (lambda one: one.name) if by == "day" else (lambda one: (-one.requests, one.name))
    return tuple(sorted(rows, key=order)), _used("total", every, tokens)


def _once(host: str, rows: Sequence[Row], read: Sequence[Gateway]) -> Iterator[Row]:
    """Yield a host's rows without the requests that a gateway's journal, which was read, has as well."""
    theirs = {one.client for one in read if host in one.nodes}
    for row in rows:
        if row.kind != "edge" or row.client not in theirs:
            yield row


def _name(host: str, row: Row, by: By) -> str | None:
    """Return what a row is summed up under; None for tokens where nobody knows whose they are."""
    if by == "day":
        return row.day
    if by == "node":
        return host if row.kind != "gateway" else row.node or NONE[by]
    if row.kind == "model":
        return None
    return (row.client if by == "client" else row.model) or NONE[by]


def _used(name: str, several: Sequence[Counts], has_tokens: bool) -> Used:
    columns = zip(*map(astuple, several), strict=True) if several else ()
    one = Counts(*map(sum, columns))
    return Used(
        name=name,
        requests=one.requests,
        refused=one.refused,
        failed=one.failed,
        tokens_in=one.tokens_in if has_tokens else None,
        tokens_out=one.tokens_out if has_tokens else None,
        work_s=round(one.work_ms / 1000, 3),
        queue_s=round(one.queue_ms / 1000, 3),
        bytes_in=one.bytes_in,
        bytes_out=one.bytes_out,
    )
