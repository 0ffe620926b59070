"""Loads the roles of a person's project: `roles/NAME/role.py`, with relative imports among its files."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from bramble.documents.problems import Problem, shown
from bramble.role import Role

NAME = re.compile(r"[a-z][a-z0-9_]*")
NAMES = "lower-case letters, digits and '_', such as exporter"


def load(
    files: Iterable[Path], taken: Collection[str]
) -> tuple[dict[str, Role[Any, Any]], list[Problem]]:
    """Return the roles of these `roles/NAME/role.py` by their names, and what is wrong with any."""
    found: dict[str, Role[Any, Any]] = {}
    problems: list[Problem] = []
    for file in files:
        name = file.parent.name
        if not NAME.fullmatch(name):
            said = f"found the role name {name!r}, allowed: {NAMES}"
            problems.append(Problem(shown(file.parent), None, said))
        elif name in taken:
            said = f"there is a role or a section '{name}' already; give the folder another name"
            problems.append(Problem(shown(file.parent), None, said))
        else:
            made = _loaded(file.parent.parent, name, file)
            if isinstance(made, Problem):
                problems.append(made)
            else:
                found[name] = made
    return found, problems


def _loaded(folder: Path, name: str, file: Path) -> Role[Any, Any] | Problem:
    """Return the role of a file, or why there is none."""
    try:
        module = importlib.import_module(f"{_package(folder)}.{name}.role")
    except Exception as error:  # noqa: BLE001 - a person's own code may raise anything
        return _problem(folder, file, error)
    made = getattr(module, "ROLE", None)
    if not isinstance(made, Role) or made.name != name:
        return Problem(shown(file), None, f"ROLE must be a Role with name={name!r}")
    return made


def _package(folder: Path) -> str:
    """Name the package that a project's roles are modules of, apart from those of any other."""
    name = f"bramble_roles_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        made = ModuleType(name, f"The roles of {folder}.")
        made.__path__ = [str(folder)]
        sys.modules[name] = made
    return name


def _problem(folder: Path, file: Path, error: Exception) -> Problem:
    """Say what a role's code raised, with its last line that had to do with it."""
    where: tuple[str, int | None] = (str(file), None)
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(folder):
            where = (frame.filename, frame.lineno)
    if isinstance(error, SyntaxError) and error.filename:
        where = (error.filename, error.lineno)
        return Problem(shown(Path(where[0])), where[1], f"SyntaxError: {error.msg}")
    return Problem(shown(Path(where[0])), where[1], f"{type(error).__name__}: {error}")
