"""What a host says of its journal's requests, believed only where it is of the form asked for."""

from __future__ import annotations

from dataclasses import dataclass

from bramble import remote
from bramble.sanitize import sentence

MOST_ROWS = 2000
NAMES = ("day", "kind", "client", "node", "model")


@dataclass(frozen=True)
class Counts:
    """What is summed up of requests."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    work_ms: int = 0
    queue_ms: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True)
class Row:
    """A sum of one host: `kind` is `gateway`, `edge` (a node's own way in) or `model` (its tokens)."""

    day: str
    kind: str
    client: str
    node: str
    model: str
    counts: Counts


@dataclass(frozen=True)
class Journal:
    """What a host's journal has, since when, and what it lacks."""

    rows: tuple[Row, ...]
    begins_s: int | None
    lost: int
    unread: int
    left_out: int


def journal(output: str) -> Journal:
    """Return what the program `usage` printed; raise ValueError for anything else."""
    found = remote.answer(
        output,
        rows=list[list[str | int]],
        begins_s=int | None,
        lost=int,
        unread=int,
        left_out=int,
    )
    if len(found["rows"]) > MOST_ROWS:
        raise ValueError(f"it has more than {MOST_ROWS} rows")
    rest = {name: found[name] for name in ("begins_s", "lost", "unread", "left_out")}
    return Journal(tuple(map(_row, found["rows"])), **rest)


def _row(said: list[str | int]) -> Row:
    names, counts = said[: len(NAMES)], said[len(NAMES) :]
    whole = [one for one in counts if isinstance(one, int) and one >= 0]
    texts = [sentence(one) for one in names if isinstance(one, str)]
    if (
        len(texts) < len(NAMES)
        or len(whole) < len(counts)
        or len(whole) != len(Counts.__match_args__)
    ):
        raise ValueError("a row is not of the form that was asked for")
    day, kind, client, node, model = texts
    return Row(day, kind, client, node, model, Counts(*whole))
