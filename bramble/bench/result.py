"""A stored benchmark of a node: what was measured and seen, without any conclusion.

Each is a JSON file in `bench/HOST/` of the inventory. Conclusions are computed from it each time.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bramble.models.dims import Dims
from bramble.sanitize import clean, sentence

FOLDER = "bench"
VERSION = 1

# What is divided by, and what is multiplied, stays a number: nodes write what they like.
Count = Annotated[int, Field(ge=0, le=2**63)]
Amount = Annotated[float, Field(ge=0, le=1e15)]
Speed = Annotated[float, Field(ge=0.01, le=1e9)]
Celsius = Annotated[float, Field(ge=-300, le=1000)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _of_node(cls, said: Any) -> Any:
        """Sanitize what a node says: it is shown in terminals and pages."""
        return clean(said)


M = TypeVar("M", bound=_Frozen)


class Board(_Frozen):
    """The board, with what decides whether two results can be compared."""

    model: str
    kind: str
    memory_mib: Count
    cores: Count


class Release(_Frozen):
    """The release that ran. `lacks`: the processor's features that it does not use; None: unknown."""

    release: str
    build_info: str = ""
    variant: str = ""
    soc: str = ""
    processor: str = ""
    lacks: tuple[str, ...] | None = None


class Model(_Frozen):
    """The model; `dimensions` is None where they are unknown."""

    name: str
    sha256: str
    dimensions: Dims | None = None


class Bandwidth(_Frozen):
    """The read bandwidth of memory, and what decides whether that figure can be a bound."""

    gb_s: Speed | None = None
    threads: Count = 0
    cached_gb_s: Amount = 0
    caches_bytes: Count = 0
    region_bytes: Count = 0
    others_cores: Amount = 0
    problem: str | None = None


class BenchRun(_Frozen):
    """One prompt and one answer: their speeds, and what the node showed meanwhile."""

    prompt_tps: Speed | None = None
    answer_tps: Speed | None = None
    problem: str | None = None
    hottest_c: Celsius | None = None
    held_back: tuple[str, ...] = ()
    mhz: Amount | None = None
    read_mib: Amount | None = None
    swapped_mib: Amount | None = None
    others_cores: Amount | None = None
    busiest: dict[str, Amount] = {}


class RacedRun(BenchRun):
    """One run of a variant in a race."""

    variant: str
    round: Count = 0

    @model_validator(mode="after")
    def _tells(self) -> RacedRun:
        if not self.problem and not (self.prompt_tps and self.answer_tps):
            raise ValueError(f"a run of {self.variant} has neither figures nor a problem")
        return self


class Recorded(_Frozen):
    """What the runs left on the node, complete or not, and which work it was."""

    id: str
    runs: tuple[BenchRun, ...] = ()
    server_swap_mib: Amount | None = None


class Raced(_Frozen):
    """What a race left on the node."""

    id: str
    runs: tuple[RacedRun, ...]


class Seen(_Frozen):
    """What the node showed after the runs; None: not reported."""

    held_back_now: tuple[str, ...] | None = None
    held_back_since_boot: tuple[str, ...] | None = None
    server: str | None = None
    server_swap_mib: Amount | None = None
    desktop: bool | None = None
    governor: str | None = None
    max_mhz: Amount | None = None
    container: str | None = None


class Result(_Frozen):
    """One benchmark of one host."""

    kind: Literal["bramble bench"] = "bramble bench"
    version: int = VERSION
    host: str
    at: str
    board: Board
    release: Release
    model: Model
    threads: Count
    ubatch_tokens: Count
    prompt_tokens: Count
    answer_tokens: Count
    bandwidth: Bandwidth
    runs: tuple[BenchRun, ...]
    problem: str | None = None
    seen: Seen

    @property
    def good(self) -> tuple[BenchRun, ...]:
        """The runs with figures."""
        return tuple(run for run in self.runs if run.answer_tps and run.prompt_tps)

    @property
    def free(self) -> Result:
        """The same result, without the runs in which the board was held back."""
        return self.model_copy(update={"runs": tuple(r for r in self.runs if not r.held_back)})

    def median(self, name: str) -> float | None:
        """Return the median of a figure over the runs; None where no run has it."""
        values = self.values(name)
        return float(statistics.median(values)) if values else None

    def span(self, name: str) -> tuple[float, float] | None:
        """Return the smallest and the largest of a figure; None where no run has it."""
        values = self.values(name)
        return (min(values), max(values)) if values else None

    def values(self, name: str) -> list[float]:
        """Return a figure of each run that has it."""
        reported = [getattr(run, name) for run in self.good]
        return [float(value) for value in reported if value is not None]


def now() -> str:
    """Return the time (UTC) in the format of results."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def keep(inventory: Path, result: Result) -> Path:
    """Write a result beside the host's earlier ones, without ever replacing one; return its file."""
    folder = inventory / FOLDER / result.host
    folder.mkdir(parents=True, exist_ok=True)
    stamp, text = re.sub(r"[^0-9TZ]", "", result.at), result.model_dump_json(indent=2) + "\n"
    new = folder / f".{stamp}.{os.getpid()}.new"
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        return _named(new, folder, stamp)
    finally:
        new.unlink()


def _named(new: Path, folder: Path, stamp: str) -> Path:
    """Give a complete file the first free name: a link, unlike a rename, replaces nothing."""
    for number in range(1, 1000):
        file = folder / f"{stamp}{f'-{number}' if number > 1 else ''}.json"
        try:
            os.link(new, file)
        except FileExistsError:
            continue
        return file
    raise FileExistsError(f"{folder} has 999 results of {stamp}")


def read(file: Path) -> Result:
    """Return one stored result; raise ValueError where the file is none."""
    try:
        return Result.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"{file} is no result of a benchmark ({first_fault(error)}); move it away"
        ) from None


def of_node(kind: type[M], said: Any) -> M:
    """Return what a node says of itself; raise ValueError with the first value that is not so."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None


def first_fault(error: ValidationError) -> str:
    """Say where the first fault is, and what."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return sentence(f"{where}: {first['msg']}" if where else first["msg"])


def kept(inventory: Path, host: str) -> Iterator[Result]:
    """Yield a host's results, the newest first; raise ValueError at a file that is none."""
    files = (inventory / FOLDER / host).glob("[0-9]*.json")
    for file in sorted(files, key=_order, reverse=True):
        yield read(file)


def _order(file: Path) -> tuple[str, int]:
    stamp, _, number = file.stem.partition("-")
    return stamp, int(number) if number.isdecimal() else 1


def as_dict(result: Result) -> dict[str, object]:
    """Return the documented JSON form: all but the model's dimensions, which only programs need."""
    reported: dict[str, object] = json.loads(
        result.model_dump_json(exclude={"model": {"dimensions"}})
    )
    return reported
