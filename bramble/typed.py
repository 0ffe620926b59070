"""Whether a value is what its annotation says: of what strangers send, nothing else does."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

LARGEST = 2**64
"""No kernel counts so far, and Python's numbers go on for ever."""


def conforms(value: object, kind: Any) -> bool:
    """Tell whether a value is of an annotated type, with all that is in it; true is no int."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if kind is None or kind is types.NoneType:
        return value is None
    if origin in (Union, types.UnionType):
        return any(conforms(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(conforms(one, inner[0]) for one in value)
    if origin is list:
        return isinstance(value, list) and all(conforms(one, inner[0]) for one in value)
    if origin is frozenset:
        return isinstance(value, frozenset) and all(conforms(one, inner[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            conforms(key, inner[0]) and conforms(one, inner[1]) for key, one in value.items()
        )
    if is_dataclass(kind):
        return type(value) is kind and all(
            conforms(getattr(value, name), hint) for name, hint in _hints(kind).items()
        )
    if kind is int:
        return type(value) is int and abs(value) < LARGEST
    return type(value) is kind


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
