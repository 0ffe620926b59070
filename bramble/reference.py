"""A role's settings and checks as tables in Markdown, for the pages and for `bramble role show`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from bramble.checks import Check
from bramble.documents.problems import Keys
from bramble.documents.wording import allowed, schema_at
from bramble.settings import Section

NAME = "NAME"
"""What stands for the names of a mapping, which are a user's own."""


def settings_table(name: str, model: type[Section]) -> str:
    """Return a table of every setting of a section."""
    rows = "".join(_setting_rows(model, model.model_json_schema(), (name,), ()))
    head = "| Setting | Default | Unit | Allowed | Example | Meaning |\n"
    return f"{head}|---|---|---|---|---|---|\n{rows}"


def checks_table(checks: Iterable[Check]) -> str:
    """Return a table of every check of a role."""
    rows = (f"| `{c.role}.{c.name}` | {c.severity} | {c.proves} |\n" for c in checks)
    return f"| Check | Severity | What it proves |\n|---|---|---|\n{''.join(rows)}"


def about(model: type[Section]) -> str:
    """Return a section's purpose on one line."""
    return " ".join((model.__doc__ or "").split())


def _setting_rows(
    model: type[Section], root: Mapping[str, Any], keys: tuple[str, ...], above: Keys
) -> Iterator[str]:
    """Yield the rows of a section; `above` are the keys by which its schema is found."""
    for name, field in model.model_fields.items():
        way, place = (*keys, name), (*above, name)
        schema = dict(schema_at(root, place))
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
            named = get_origin(field.annotation) is dict
            inside = (*place, 0) if get_origin(field.annotation) is tuple else place
            inside = (*place, NAME) if named else inside
            yield from _setting_rows(inner, root, (*way, NAME) if named else way, inside)


def section_in(annotation: Any) -> type[Section] | None:
    """Return the section that a setting holds, also where it may be None."""
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
