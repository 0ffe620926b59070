"""Validates plain values into a typed section, with an error message for each that is wrong."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bramble.documents.problems import MOST_PROBLEMS, Keys, dotted, found, is_secret, unknown
from bramble.documents.wording import (
    Schema,
    allowed,
    choices,
    known_at,
    names_below,
    schema_at,
)
from bramble.settings import Section


@dataclass(frozen=True)
class Fault:
    """What is wrong at one place; `whole` when it takes all layers together to tell."""

    keys: Keys
    message: str
    whole: bool = False


def validate(
    name: str, model: type[Section], values: object, *, host: str, folder: Path
) -> tuple[Section | None, tuple[Fault, ...]]:
    """Make the section `name` of plain values, strictly: "8080" is no number and 1 is not true."""
    if not isinstance(values, dict):
        message = f"{name}: {found((name,), values)}, allowed: a mapping of settings"
        return None, (Fault((name,), message),)
    context = {"host": host, "folder": folder}
    try:
        # JSON's rules are strict about scalars and still make tuples and paths of lists and text.
        return model.model_validate_json(json.dumps(values), strict=True, context=context), ()
    except ValidationError as error:
        return None, _faults(name, _schema(model), values, error)


def unknown_section(section: str, sections: Mapping[str, type[Section]]) -> str:
    """Say of a section that there is not which section or setting may have been meant."""
    inner = [
        f"{name}.{path}" for name, model in sections.items() for path in names_below(_schema(model))
    ]
    return f"unknown section; {unknown(section, sections, inner)}"


@cache
def _schema(model: type[Section]) -> Schema:
    return model.model_json_schema()


def _faults(
    name: str, schema: Schema, values: Mapping[str, Any], error: ValidationError
) -> tuple[Fault, ...]:
    """Return one fault for each place of pydantic's errors: a union has an error per branch."""
    by_place: dict[Keys, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_place.setdefault(_place(values, detail), []).append(detail)
    told = islice(by_place.items(), MOST_PROBLEMS + 1)
    return tuple(_fault(name, schema, values, keys, at) for keys, at in told)


def _place(values: Mapping[str, Any], detail: ErrorDetails) -> Keys:
    """Find the error's place in the values, without the names of union branches."""
    here: Any = values
    keys: list[str | int] = []
    for key in detail["loc"]:
        inside_list = isinstance(here, list) and isinstance(key, int) and key < len(here)
        if inside_list or (isinstance(here, dict) and key in here):
            here = here[key]
            keys.append(key)
    if detail["type"] == "missing":
        keys.append(detail["loc"][-1])
    return tuple(keys)


def _fault(
    name: str, schema: Schema, values: Mapping[str, Any], keys: Keys, details: list[ErrorDetails]
) -> Fault:
    where = dotted((name, *keys))
    kinds = {detail["type"] for detail in details}
    if "extra_forbidden" in kinds:
        known = known_at(schema, keys[:-1])
        others = [f"{name}.{path}" for path in names_below(schema)]
        message = f"{where}: unknown setting; {unknown(str(keys[-1]), known, others)}"
        return Fault((name, *keys), message)
    if any(detail["loc"][-1:] == ("[key]",) for detail in details):
        pattern = details[0].get("ctx", {}).get("pattern")
        message = f"{where}: the name is wrong, allowed: text that matches {pattern}"
        return Fault((name, *keys), message if pattern else f"{where}: the name is wrong")
    here = schema_at(schema, keys)
    if "missing" in kinds:
        message = f"{where}: not set but needed: {_needed(schema, here)}"
        return Fault((name, *keys), message, whole=True)
    value = _at(values, keys)
    if kinds <= {"value_error", "assertion_error"}:
        said = "; ".join(_sentence(detail) for detail in details)
        if isinstance(value, dict):
            return Fault((name, *keys), f"{where}: {said}", whole=True)
        return Fault((name, *keys), f"{where}: {found((name, *keys), value)}: {said}")
    message = f"{where}: {found((name, *keys), value)}, allowed: {allowed(schema, here)}"
    return Fault((name, *keys), message + _hint(schema, here, (name, *keys), value))


def _needed(root: Schema, schema: Schema) -> str:
    examples = schema.get("examples")
    such = f" For example {json.dumps(examples[0], ensure_ascii=False)}." if examples else ""
    return (schema.get("description") or allowed(root, schema)) + such


def _sentence(detail: ErrorDetails) -> str:
    """Return the validator's own message, without pydantic's "Value error, "."""
    return str(detail.get("ctx", {}).get("error", detail["msg"]))


def _hint(root: Schema, schema: Schema, keys: Keys, value: object) -> str:
    """Say how to correct the two commonest mistakes: a misspelt choice and text without quotes."""
    words = [choice for choice in choices(root, schema) if isinstance(choice, str)]
    if isinstance(value, str) and words and not is_secret(keys):
        near = difflib.get_close_matches(value.lower(), words, n=1)
        return f"; did you mean '{near[0]}'?" if near else ""
    takes_text = "text" in allowed(root, schema).split()
    is_plain = isinstance(value, bool | int | float)
    return "; put it in quotes" if takes_text and is_plain else ""


def _at(values: Any, keys: Keys) -> Any:
    for key in keys:
        values = values[key]
    return values
