"""JSON as strangers send it: values that take bounded memory, or ValueError, and nothing else."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

MOST_VALUES = 500_000
"""More than a look at any node has; each takes about a hundred bytes here."""


def loads(text: str) -> Any:
    """Return the value of a JSON text; raise ValueError where it is none, or more than is believed."""
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES} values")
    try:
        found = json.loads(text, parse_constant=_no_number, parse_float=_number)
        return _whole(found) if "\\ud" in text.lower() else found
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(value: Any) -> Any:
    """Replace halves of surrogate pairs, by which Python names bytes that are no text, in all texts."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


def _number(digits: str) -> float:
    found = float(digits)
    return found if isfinite(found) else _no_number(digits[:20])


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")
