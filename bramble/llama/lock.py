"""The lock `engine.lock`: decisions of commands about what hosts run, which every deploy follows.

commit    the commit that `bramble upgrade --to` rolled out to the whole fleet
rolling   a rollout that is not over: its commit, and the hosts that have it or are getting it
variants  the variant that `bramble engine race` found to be the fastest, by processor
hosts     the release that `bramble rollback` went back to, by host, until `bramble upgrade`
models    the model that `bramble model rollback` went back to, by host, and instead of which one
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from bramble.documents.document import Document
from bramble.documents.document import read as read_document
from bramble.documents.document import write as write_document
from bramble.documents.problems import InventoryError, Problem, found, unknown
from bramble.documents.validation import validate
from bramble.settings import Section, option

FILE = "engine.lock"
VARIABLE = "BRAMBLE_ENGINE_LOCK"
"""Names the lock that is read instead: that of a rollout which is only planned."""

_KEYS = ("commit", "rolling", "variants", "hosts", "models")
_COMMIT = r"^[0-9a-f]{40}$"
# Valid as an unquoted word of ExecStart=, and as a file's name.
MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+@=,~()-]{0,99}$"
_HEAD = """\
# Written by `bramble upgrade`, `rollback`, `model rollback` and `engine race`; deploys follow it. Keep
# it with the inventory. To undo a decision, run the command again or delete its lines.
"""
S = TypeVar("S", bound=Section)


class ReleasePin(Section):
    """The release that one host stays at."""

    release: str = option(..., help="The release.", pattern=r"^[0-9a-f]{12}$")
    build_info: str = option(
        ..., help="What its server calls itself.", pattern=r"^b[0-9]+-[0-9a-f]{9}$"
    )


class Held(Section):
    """The model that one host stays at."""

    name: str = option(..., help="The model's name.", pattern=MODEL_NAME)
    sha256: str = option(..., help="The file's sha256.", pattern=r"^[0-9a-f]{64}$")
    instead_of: str = option(
        ...,
        help="The sha256 of the inventory's model then; with another model there, this has no effect.",
        pattern=r"^[0-9a-f]{64}$",
    )


class Variant(Section):
    """The variant that won on one processor, and where it was measured."""

    variant: str = option(..., help="The variant.", pattern=r"^[a-z][a-z0-9]*$")
    host: str | None = option(None, help="The host that it was measured on.")
    model: str | None = option(None, help="The model that it was measured with.")
    tokens_per_second: float | None = option(None, help="Its median.", unit="tokens/s", ge=0)
    at: str | None = option(None, help="When it was measured.")


class Rolling(Section):
    """A commit that is being rolled out to the fleet."""

    commit: str = option(..., help="The commit.", pattern=_COMMIT)
    hosts: tuple[str, ...] = option((), help="The hosts that have it, or are getting it.")


@dataclass(frozen=True)
class Lock:
    """The whole lock; an inventory without the file has an empty one."""

    commit: str | None = None
    rolling: Rolling | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict)
    hosts: Mapping[str, ReleasePin] = field(default_factory=dict)
    models: Mapping[str, Held] = field(default_factory=dict)

    def commit_of(self, host: str) -> str | None:
        """Return the commit that a host is to have; None where the inventory alone decides."""
        if self.rolling and host in self.rolling.hosts:
            return self.rolling.commit
        return self.commit

    def with_pin(self, host: str, pin: ReleasePin | None) -> Lock:
        """Return the lock with this pin of a host, or without one."""
        others = {name: other for name, other in self.hosts.items() if name != host}
        return replace(self, hosts=others | ({host: pin} if pin else {}))

    def with_model(self, host: str, held: Held | None) -> Lock:
        """Return the lock with a host that stays at this model, or at none."""
        others = {name: other for name, other in self.models.items() if name != host}
        return replace(self, models=others | ({host: held} if held else {}))


def file_of(folder: Path) -> Path:
    """Return the lock that is read for an inventory."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else folder / FILE


def read(folder: Path) -> Lock:
    """Return the lock of an inventory; raise InventoryError with every problem in it."""
    file = file_of(folder)
    if not file.is_file():
        return Lock()
    document = read_document(file)
    problems = list(document.problems)
    for key in document.values.keys() - set(_KEYS):
        problems.append(document.problem((key,), f"{key}: unknown; {unknown(key, _KEYS)}"))
    commit = document.values.get("commit")
    if commit is not None and not (isinstance(commit, str) and re.match(_COMMIT, commit)):
        problems.append(
            document.problem(
                ("commit",),
                f"commit: {found((), commit)}, allowed: 40 hexadecimal digits in quotes; "
                "`bramble upgrade --to COMMIT` writes it",
            )
        )
    lock = Lock(
        commit,
        _rolling(document, problems),
        _entries(document, "variants", Variant, problems),
        _entries(document, "hosts", ReleasePin, problems),
        _entries(document, "models", Held, problems),
    )
    if problems:
        raise InventoryError(problems)
    return lock


def _rolling(document: Document, problems: list[Problem]) -> Rolling | None:
    said = document.values.get("rolling")
    return None if said is None else _typed(document, ("rolling",), said, Rolling, problems)


def _entries(document: Document, key: str, model: type[S], problems: list[Problem]) -> dict[str, S]:
    """Return the typed entries of a mapping of names."""
    said = document.values.get(key)
    if said is not None and not isinstance(said, dict):
        problems.append(document.problem((key,), f"{key}: {found((), said)}, allowed: a mapping"))
    typed = {
        name: _typed(document, (key, name), values, model, problems)
        for name, values in document.part(key).values.items()
    }
    return {name: entry for name, entry in typed.items() if entry is not None}


def _typed(
    document: Document, keys: tuple[str, ...], said: Any, model: type[S], problems: list[Problem]
) -> S | None:
    typed, faults = validate(".".join(keys), model, said, host="", folder=document.file.parent)
    advice = f"; delete the lines of {'.'.join(keys)} and run its command again"
    problems += [document.problem((*keys, *f.keys[1:]), f.message + advice) for f in faults]
    return typed if isinstance(typed, model) else None


def text(lock: Lock) -> str:
    """Return the file's text: the same lock gives the same text."""
    lines = [_HEAD]
    if lock.commit:
        lines.append(f"commit: {_scalar(lock.commit)}\n")
    if lock.rolling:
        names = ", ".join(_scalar(name) for name in lock.rolling.hosts)
        lines.append(f"rolling:\n  commit: {_scalar(lock.rolling.commit)}\n  hosts: [{names}]\n")
    for key, entries in (
        ("variants", lock.variants),
        ("hosts", lock.hosts),
        ("models", lock.models),
    ):
        if entries:
            lines.append(f"{key}:\n")
        for name in sorted(entries):
            lines.append(f"  {name}:\n")
            values = entries[name].model_dump(exclude_none=True)
            lines += [f"    {inner}: {_scalar(value)}\n" for inner, value in values.items()]
    return "".join(lines)


def _scalar(value: object) -> str:
    """Quote text: YAML would parse digits alone, or digits around an e, as a number."""
    return json.dumps(value) if isinstance(value, str) else str(value)


def write(folder: Path, lock: Lock) -> bool:
    """Replace the file by one rename; return whether anything in it changed.

    An empty lock needs no file.
    """
    file = folder / FILE
    said = text(lock)
    before = file.read_text(encoding="utf-8") if file.is_file() else text(Lock())
    if before == said:
        return False
    write_document(file, said)
    return True
