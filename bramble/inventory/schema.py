"""JSON Schemas of the inventory's files, for editors that complete and check YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bramble.inventory.choice import Sections

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


def fleet_schema(sections: Sections) -> dict[str, Any]:
    """Describe fleet.yml."""
    settings, definitions = _settings(sections)
    groups = {
        "description": "Groups of the host; a later one wins over an earlier.",
        "type": ["array", "null"],
        "items": {"type": "string"},
        "uniqueItems": True,
    }
    entry = _mapping({"groups": groups, **settings}, "A host's groups and its own settings.")
    hosts = {
        "description": "The hosts by name.",
        "type": "object",
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": entry,
    }
    everyone = _mapping(settings, "Settings of every host.")
    top = _mapping({"settings": everyone, "hosts": hosts}, "A fleet of bramble.")
    return {"$schema": _DIALECT, "title": "fleet.yml", **top, "$defs": definitions}


def settings_schema(sections: Sections) -> dict[str, Any]:
    """Describe a file of groups/ or hosts/."""
    settings, definitions = _settings(sections)
    top = _mapping(settings, "Settings of a group or of a host.")
    return {"$schema": _DIALECT, "title": "Settings", **top, "$defs": definitions}


def _settings(sections: Sections) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a reference for each section, and the definitions that they point to."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]]
    wanted = [(model, "validation") for model in sections.values()]
    references, made = models_json_schema(wanted)
    definitions = {name: _as_layer(schema) for name, schema in made.get("$defs", {}).items()}
    settings = {name: _or_null(references[model, "validation"]) for name, model in sections.items()}
    return settings, definitions


def _as_layer(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Relax a schema for one layer: any setting may be left out, or null for its default."""
    partial = {key: value for key, value in schema.items() if key not in ("required", "title")}
    if "properties" in partial:
        properties = partial["properties"].items()
        partial["properties"] = {name: _or_null(_with_unit(value)) for name, value in properties}
    return partial


def _with_unit(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Name the unit in the description, as editors show nothing else."""
    said = {key: value for key, value in schema.items() if key not in ("unit", "title")}
    if "unit" in schema:
        said["description"] = f"{schema.get('description', '')} Unit: {schema['unit']}.".strip()
    return said


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    about = ("description", "default", "examples")
    shown = {key: schema[key] for key in about if key in schema}
    kind = {key: value for key, value in schema.items() if key not in about}
    return {**shown, "anyOf": [kind, {"type": "null"}]}


def _mapping(properties: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": ["object", "null"],
        "properties": dict(properties),
        "additionalProperties": False,
    }
