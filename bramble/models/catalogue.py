"""The catalogue `models.yml`: models by name, and where on a hub their files lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import StringConstraints, field_validator

from bramble.documents.document import Document, read
from bramble.documents.problems import InventoryError, Problem, found
from bramble.documents.validation import validate
from bramble.project import INVENTORY, SHIPPED
from bramble.settings import Section, option

FILE = "models.yml"
NAME = r"[a-z0-9][a-z0-9._-]{0,79}"
QUANT = r"[a-z0-9][a-z0-9_]{0,23}"
USE = rf"^{NAME}:{QUANT}$"
"""The name of one file of the catalogue: MODEL:QUANT."""

REPO = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"
_FOLDER = r"[^./\s\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*"
GGUF = rf"^{_FOLDER}(/{_FOLDER})*\.(gguf|GGUF)$"
"""A file of a repository, in folders or not; its name may have spaces, as on hubs."""
S = TypeVar("S", bound=Section)
_PART = re.compile(r"-(?P<number>\d{5})-of-(?P<parts>\d{5})\.gguf$", re.IGNORECASE)


class CatalogueEntry(Section):
    """Where the files of one model lie."""

    repo: str = option(
        ...,
        help="Repository on the hub.",
        example="Qwen/Qwen2.5-3B-Instruct-GGUF",
        pattern=REPO,
    )
    revision: str = option(
        "main",
        help="Branch, tag or commit that `bramble model lock` resolves; the lock has the commit.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$",
    )
    files: dict[
        Annotated[str, StringConstraints(pattern=f"^{QUANT}$")],
        Annotated[str, StringConstraints(pattern=GGUF)],
    ] = option(
        ...,
        help="The repository's GGUF files by quant.",
        example={"q4_k_m": "qwen2.5-3b-instruct-q4_k_m.gguf"},
    )

    @field_validator("files")
    @classmethod
    def _whole(cls, files: dict[str, str]) -> dict[str, str]:
        for file in files.values():
            part = _PART.search(file)
            # 00001-of-00001 is the whole model.
            if part and int(part["parts"]) > 1:
                raise ValueError(
                    f"{file} is part {int(part['number'])} of {int(part['parts'])}, and a node serves "
                    "one file; name a repository that has the model in one, or put the parts together "
                    "with `llama-gguf-split --merge` and set model.url and model.sha256 of your own"
                )
        return files


@dataclass(frozen=True)
class Place:
    """Where one file of the catalogue lies."""

    repo: str
    revision: str
    file: str


def shipped() -> Path:
    """Return the path of the catalogue that comes with bramble."""
    return SHIPPED / INVENTORY / FILE


def file_of(folder: Path) -> Path:
    """Return the catalogue of an inventory; where it has none, the one that comes with bramble."""
    own = folder / FILE
    return own if own.is_file() else shipped()


def load(folder: Path) -> dict[str, CatalogueEntry]:
    """Return the catalogue's models by name; raise InventoryError with every problem in it."""
    file = file_of(folder)
    return dict(_read(file, identity(file)))


def identity(file: Path) -> tuple[int, ...]:
    """Return what changes when a file is replaced or edited; empty where there is no file."""
    try:
        state = file.stat()
    except OSError:
        return ()
    return state.st_ino, state.st_mtime_ns, state.st_size


@lru_cache(maxsize=8)
def _read(file: Path, _version: tuple[int, ...]) -> Mapping[str, CatalogueEntry]:
    """Parse and validate the catalogue, once for all hosts of a fleet."""
    document = read(file)
    entries, problems = entries_of(document, CatalogueEntry, re.compile(NAME), "a model's name")
    if problems:
        raise InventoryError(problems)
    return entries


def entries_of(
    document: Document, model: type[S], key: re.Pattern[str], what: str
) -> tuple[dict[str, S], list[Problem]]:
    """Return the typed entries below `models:`, the only allowed key, and the file's problems."""
    problems = list(document.problems)
    for name in document.values.keys() - {"models"}:
        problems.append(document.problem((name,), f"{name}: unknown; the only key here is models"))
    said = document.values.get("models")
    if said is not None and not isinstance(said, dict):
        problems.append(
            document.problem(("models",), f"models: {found((), said)}, allowed: a mapping")
        )
    entries: dict[str, S] = {}
    for name, values in document.part("models").values.items():
        if not key.fullmatch(name):
            message = f"{name}: found {what} that does not match {key.pattern}"
            problems.append(document.problem(("models", name), message))
            continue
        typed, faults = validate(name, model, values, host="", folder=document.file.parent)
        problems += [document.problem(("models", *fault.keys), fault.message) for fault in faults]
        if isinstance(typed, model):
            entries[name] = typed
    return entries, problems


def places(entries: Mapping[str, CatalogueEntry]) -> dict[str, Place]:
    """Return every file of the catalogue by MODEL:QUANT."""
    return {
        f"{name}:{quant}": Place(entry.repo, entry.revision, file)
        for name, entry in entries.items()
        for quant, file in entry.files.items()
    }
