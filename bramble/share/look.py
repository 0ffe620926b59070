"""What a board said of itself, of the answer that one look brought."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bramble.remote import answer
from bramble.sanitize import sanitize

_LONGEST = 40_000


@dataclass(frozen=True)
class Said:
    """What a command said with its exit code, or a file held; `why` says why there is nothing."""

    text: str = ""
    code: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Look:
    """One board: its commands and files by name, and the names that are to be replaced."""

    commands: Mapping[str, Said] = field(default_factory=dict)
    files: Mapping[str, Said] = field(default_factory=dict)
    hostname: str = ""
    users: tuple[str, ...] = ()
    problem: str = ""


def read(output: str) -> Look:
    """Return what the node's program printed, or why that is of no use."""
    try:
        found = answer(output, commands=dict, files=dict, names=dict)
    except ValueError as error:
        return Look(problem=f"what it answered is not understood: {error}")
    names = found["names"]
    users = names.get("users")
    return Look(
        commands={str(line): _said(one) for line, one in found["commands"].items()},
        files={str(path): _said(one) for path, one in found["files"].items()},
        hostname=str(names.get("hostname") or ""),
        users=tuple(map(str, users)) if isinstance(users, list) else (),
    )


def _said(one: Any) -> Said:
    if not isinstance(one, dict):
        return Said(why="not understood")
    if "unknown" in one:
        return Said(why=str(one["unknown"]))
    value = one.get("ok")
    if value is None:
        return Said(why="not there")
    if isinstance(value, dict):
        code = value.get("code")
        return Said(_text(value.get("output")), code if isinstance(code, int) else None)
    return Said(_text(value))


def _text(value: Any) -> str:
    said = value if isinstance(value, str) else json.dumps(value)
    return sanitize(said[:_LONGEST], "\n\t")
