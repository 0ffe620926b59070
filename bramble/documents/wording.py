"""Describes what a setting allows, from the JSON Schema of its section."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bramble.documents.problems import Keys, dotted

Schema = Mapping[str, Any]


def schema_at(root: Schema, keys: Keys) -> Schema:
    """Find the part of a section's schema that describes the value at `keys`."""
    here = _followed(root, root)
    for key in keys:
        here = next((part for part in _children(root, here, key)), {})
    return here


def known_at(root: Schema, keys: Keys) -> list[str]:
    """List the names that the mapping at `keys` may have."""
    names: dict[str, None] = {}
    for branch in _branches(root, schema_at(root, keys)):
        names |= dict.fromkeys(branch.get("properties", {}))
    return list(names)


def names_below(root: Schema, keys: Keys = ()) -> list[str]:
    """List the dotted name of every setting of a section, at any depth."""
    found: dict[str, None] = {}
    for name in known_at(root, keys):
        found[dotted((*keys, name))] = None
        found |= dict.fromkeys(names_below(root, (*keys, name)))
    return list(found)


def choices(root: Schema, schema: Schema) -> list[Any]:
    """List the literal values that a setting may have."""
    allowed: list[Any] = []
    for branch in _branches(root, schema):
        allowed += branch.get("enum", [branch["const"]] if "const" in branch else [])
    return allowed


def allowed(root: Schema, schema: Schema) -> str:
    """Say what a setting may be, such as `a whole number from 1 to 65535`."""
    words = dict.fromkeys(
        _kind(root, branch) for branch in _branches(root, schema) if branch.get("type") != "null"
    )
    return " or ".join(filter(None, words)) + (f" ({schema['unit']})" if "unit" in schema else "")


def _kind(root: Schema, schema: Schema) -> str:
    if literal := choices(root, schema):
        *others, last = (json.dumps(value, ensure_ascii=False) for value in literal)
        return f"{', '.join(others)} or {last}" if others else last
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _range(schema)
    if kind == "string":
        return _text(schema)
    if kind == "array":
        items = allowed(root, _followed(root, schema.get("items", {})))
        return "a list" + (f", each {items}" if items else "") + _size(schema)
    if kind == "object":
        names = ", ".join(schema.get("properties", ()))
        return f"a mapping with {names}" if names else "a mapping"
    return "true or false" if kind == "boolean" else ""


def _text(schema: Schema) -> str:
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    formats = {"path": "a path", "duration": "a duration such as PT30S", "date": "a date"}
    return formats.get(schema.get("format", ""), "text") + _size(schema)


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = (
        ("minimum", "of at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "of at most"),
        ("exclusiveMaximum", "below"),
    )
    return "".join(f" {word} {schema[name]}" for name, word in bounds if name in schema)


def _size(schema: Schema) -> str:
    least = schema.get("minItems", schema.get("minLength"))
    most = schema.get("maxItems", schema.get("maxLength"))
    parts = [f"at least {least}" if least else "", f"at most {most}" if most is not None else ""]
    said = " and ".join(filter(None, parts))
    return f" ({said} long)" if said else ""


def _children(root: Schema, schema: Schema, key: str | int) -> list[Schema]:
    found: list[Schema] = []
    for branch in _branches(root, schema):
        if isinstance(key, int):
            prefix = branch.get("prefixItems", ())
            child = prefix[key] if key < len(prefix) else branch.get("items")
        else:
            named = branch.get("properties", {}).get(key)
            by_pattern = next(iter(branch.get("patternProperties", {}).values()), None)
            child = named or by_pattern or branch.get("additionalProperties")
        if isinstance(child, Mapping):
            found.append(_followed(root, child))
    return found


def _branches(root: Schema, schema: Schema) -> list[Schema]:
    """Return the alternatives of a union, or the schema itself."""
    schema = _followed(root, schema)
    parts = schema.get("anyOf") or schema.get("oneOf")
    if not parts:
        return [schema]
    return [branch for part in parts for branch in _branches(root, part)]


def _followed(root: Schema, schema: Schema) -> Schema:
    """Follow a reference into the section's definitions, keeping the keys beside it."""
    if "$ref" not in schema:
        return schema
    target = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
