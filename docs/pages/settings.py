"""The page of every setting."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from bramble import registry
from bramble.inventory.wording import allowed, schema_at
from bramble.settings import Section, Ssh


def settings_page() -> str:
    """Every setting of every section."""
    parts = [
        "# Settings\n\n"
        "A setting may be given in four places; the later wins: the default below, `settings:` of\n"
        "`fleet.yml`, `groups/NAME.yml` (in the order in which the host lists its groups), and the\n"
        "host itself (its entry in `fleet.yml`, or `hosts/NAME.yml`). Mappings are merged, lists are\n"
        'replaced whole, null is "back to the default". `bramble config HOST` prints each value with\n'
        "the file and line that set it; unknown names and values out of bounds end every command with\n"
        "exit code 2 before a host is connected to.\n\n"
        "Paths on this computer that are relative are taken from the inventory folder.\n"
    ]
    for name, model in registry.sections().items():
        parts.append(f"\n## {name}\n\n{' '.join((model.__doc__ or '').split())}\n")
        if model is Ssh:
            parts.append("\n`ssh` is no role: it says how to reach the host.\n")
        rows = "".join(_setting_rows(model, model.model_json_schema(), (name,)))
        head = "| Setting | Default | Unit | Allowed | Example | Meaning |\n"
        parts.append(f"\n{head}|---|---|---|---|---|---|\n{rows}")
    return "".join(parts)


def _setting_rows(
    model: type[Section], root: Mapping[str, Any], keys: tuple[str, ...]
) -> Iterator[str]:
    for name, field in model.model_fields.items():
        way = (*keys, name)
        schema = dict(schema_at(root, way[1:]))
        unit = schema.pop("unit", "")
        cells = (
            f"`{'.'.join(way)}`",
            _default(field),
            unit,
            _code_of_pattern(allowed(root, schema)),
            ", ".join(_value(example) for example in field.examples or ()),
            field.description or "",
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
        inner = section_in(field.annotation)
        if inner:
            yield from _setting_rows(inner, root, way)


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a setting holds, perhaps beside None."""
    kinds = get_args(annotation) or (annotation,)
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Section)), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, Section) or default is None:
        return "not set"
    return _value(to_jsonable_python(default))


def _value(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _code_of_pattern(words: str) -> str:
    before, matches, pattern = words.partition("text that matches ")
    return f"{before}{matches}`{pattern}`" if matches else words
