"""For programs: JSON of a published schema (`bramble schema --for results`)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from bramble.checks import Status
from bramble.reporting.results import Checked


class CheckResult(BaseModel):
    """One check on one host."""

    host: str = Field(description="Name in the inventory.")
    role: str = Field(description="The check's role; `ssh` for a host that could not be checked.")
    check: str = Field(description="The check's name.")
    status: Status = Field(
        description="`skip`: it does not apply; `unknown`: it could not be determined."
    )
    want: str = Field(description="What the plan wants, for people.")
    got: str = Field(description="What the node shows, for people.")
    remedy: str = Field(description="What to do; empty for a pass.")


class Results(BaseModel):
    """What `bramble verify --json` prints."""

    kind: Literal["bramble results"] = Field(description="Always this.")
    version: Literal[1] = Field(description="Version of this format.")
    command: str = Field(description="The command that found them, such as `verify`.")
    at: str = Field(description="When, UTC.")
    results: tuple[CheckResult, ...] = Field(description="All results, in the run's order.")


def text(checked: Checked) -> str:
    """Return the results as JSON."""
    found = tuple(CheckResult(**vars(result)) for result in checked.results)
    made = Results(
        kind="bramble results",
        version=1,
        command=checked.command,
        at=checked.at,
        results=found,
    )
    return made.model_dump_json(indent=2) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of that."""
    return Results.model_json_schema(mode="serialization")
