"""Whole plans as trees of files, compared with trees that somebody has looked at.

A tree holds each planned file where it would land, and `plan.yml` with all that is no file: packages,
modes and owners, what each role decides, and the steps that a fresh node needs.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from bramble import registry
from bramble.plan import File, NodePlan
from bramble.settings import Section
from bramble.snapshot import Snapshot
from bramble.steps import Step

SECRET = "(secret)"
VARIABLE = "BRAMBLE_REGENERATE"
"""With it in the environment, `compare` writes a tree as its plan is now."""


class Plain(yaml.SafeDumper):
    """Writes a value wherever it is, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def compare(plan: NodePlan, folder: Path) -> str:
    """Return how a plan differs from the tree in `folder`, empty when it does not.

    Write the tree first where BRAMBLE_REGENERATE is set: look at it before you commit it.
    """
    found = tree(plan)
    if os.environ.get(VARIABLE):
        write(folder, found)
    expected = on_disk(folder)
    if expected == found:
        return ""
    text = differences(expected, found) or "other files than expected, though empty ones\n"
    return f"{text}If that is meant: {VARIABLE}=yes pytest, and look at {folder}"


def tree(plan: NodePlan) -> dict[str, str]:
    """Return the files of `expected/` by their relative paths."""
    texts = {
        file.path.lstrip("/"): SECRET if file.secret else file.text
        for role in plan.roles.values()
        for file in role.files
    }
    whole: dict[str, Any] = {"packages": list(plan.packages), "roles": {}}
    for name, part in plan.roles.items():
        steps = registry.role(name).steps(part, plan, Snapshot())
        whole["roles"][name] = {
            **{item.name: shown(getattr(part, item.name)) for item in fields(part)},
            "steps_on_a_fresh_node": [shown(step) for step in steps],
        }
    dumped: str = yaml.dump(whole, Dumper=Plain, sort_keys=False, width=100)
    return texts | {"plan.yml": dumped}


def shown(value: Any) -> Any:
    """Return a planned value as YAML has it; a file's text has a file of its own."""
    if isinstance(value, File):
        return f"{value.path} {value.mode:04o} {value.owner}:{value.group}"
    if isinstance(value, Step):
        return {"name": value.name, "program": value.program, "query": shown(value.query)}
    if isinstance(value, Section):
        return shown(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: shown(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        # Sorted: the order of CMake's options, of a query's keys and the like means nothing.
        return {key: "(above)" if key == "text" else shown(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [shown(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def on_disk(folder: Path) -> dict[str, str]:
    """Return the files below a folder by their relative paths."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Make a folder hold these files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return a unified diff of two trees, empty when they are the same."""
    return "".join(
        line
        for name in sorted({*expected, *found})
        for line in difflib.unified_diff(
            expected.get(name, "").splitlines(keepends=True),
            found.get(name, "").splitlines(keepends=True),
            f"expected/{name}",
            f"planned/{name}",
        )
    )
