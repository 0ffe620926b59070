"""What strangers say (servers, headers of files, models), so that it cannot move a terminal's cursor."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 1000


def sanitize(text: str, keep: str = "") -> str:
    """Replace each character that is not printable, and not in `keep`, with a question mark."""
    if text.isprintable():  # as nearly all are
        return text
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)


def sentence(text: str) -> str:
    """Sanitize a text, and cut it to one that does not fill the screen."""
    return sanitize(text[:LONGEST])


def clean(value: Any) -> Any:
    """Return a JSON value with all its texts sanitized, but for the ends of lines and tabs."""
    if isinstance(value, str):
        return sanitize(value, "\n\t")
    if isinstance(value, dict):
        return {clean(key): clean(inner) for key, inner in value.items()}
    return [clean(inner) for inner in value] if isinstance(value, list | tuple) else value


def number(text: str) -> int | None:
    """Return a whole number of at most 18 digits, None for anything else: longer ones take long."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def address(url: str) -> str:
    """Return an address without its query, which may hold a secret."""
    return sanitize(url.partition("?")[0])
