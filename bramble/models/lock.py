"""The lock `models.lock`: the commit, size and sha256 of each file, which deploys use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ConfigDict

from bramble.documents.document import read
from bramble.documents.document import write as write_document
from bramble.documents.problems import InventoryError
from bramble.models.catalogue import GGUF, REPO, USE, entries_of, identity
from bramble.models.dims import Dims
from bramble.models.projector import Projector
from bramble.settings import Section, option

FILE = "models.lock"
_HEAD = """\
# Written by `bramble model lock`, from models.yml and the hub; deploys use this file alone. Keep it
# with the inventory. A file that changed upstream changes nothing here:
# `bramble model lock` reports it, `bramble model lock --update NAME` accepts it.
"""


class Locked(Section):
    """One file, pinned."""

    # Built where there is a lock: a projector's pattern is slow to compile.
    model_config = ConfigDict(defer_build=True)

    repo: str = option(..., help="Repository on the hub.", pattern=REPO)
    revision: str = option(..., help="The commit.", pattern=r"^[0-9a-f]{40}$")
    file: str = option(..., help="The file in the repository.", pattern=GGUF)
    size_bytes: int = option(..., help="The file's size.", unit="bytes", ge=1)
    sha256: str = option(..., help="The file's sha256.", pattern=r"^[0-9a-f]{64}$")
    fit: Dims | None = option(None, help="The model's dimensions, where its header could be read.")
    projector: Projector | None = option(None, help="The same of a projector for images.")

    def url(self, endpoint: str) -> str:
        """Return the file's address on a hub: by commit, so that it cannot change."""
        return f"{endpoint.rstrip('/')}/{self.repo}/resolve/{self.revision}/{quote(self.file)}"


def load(folder: Path) -> dict[str, Locked]:
    """Return what is locked by MODEL:QUANT; empty where there is no lock yet."""
    file = folder / FILE
    if not file.is_file():
        return {}
    return dict(_read(file, identity(file)))


@lru_cache(maxsize=8)
def _read(file: Path, _version: tuple[int, ...]) -> Mapping[str, Locked]:
    """Parse and validate the lock, once for all hosts of a fleet."""
    entries, problems = entries_of(read(file), Locked, re.compile(USE), "a name (MODEL:QUANT)")
    if problems:
        raise InventoryError(problems)
    return entries


def text(locked: Mapping[str, Locked]) -> str:
    """Return the file's text: the same entries give the same text."""
    lines = [_HEAD, "models:" if locked else "models: {}"]
    for name in sorted(locked):
        lines.append(f"  {name}:")
        lines += lines_of(locked[name].model_dump(exclude_none=True), 4)
    return "\n".join(lines) + "\n"


def lines_of(values: Mapping[str, Any], indent: int) -> Iterator[str]:
    """Yield each value on a line of its own; the elements of lists too, as JSON, which is YAML."""
    before = " " * indent
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{before}{key}:"
            yield from lines_of(value, indent + 2)
        elif isinstance(value, tuple):
            yield f"{before}{key}:"
            yield from (f"{before}  - {json.dumps(element)}" for element in value)
        else:
            # Text is quoted: YAML would parse digits alone, or digits around an e, as a number.
            yield f"{before}{key}: {json.dumps(value)}"


def write(folder: Path, locked: Mapping[str, Locked]) -> bool:
    """Replace the lock by one rename; return whether anything in it changed."""
    file = folder / FILE
    said = text(locked)
    if file.is_file() and file.read_text(encoding="utf-8") == said:
        return False
    write_document(file, said)
    return True
