"""What strangers say (servers, headers of files, models), so that it cannot move a terminal's cursor."""

from __future__ import annotations

LONGEST = 1000


def sanitize(text: str, keep: str = "") -> str:
    """Replace each character that is not printable, and not in `keep`, with a question mark."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)


def sentence(text: str) -> str:
    """Sanitize a text, and cut it to one that does not fill the screen."""
    return sanitize(text[:LONGEST])


def address(url: str) -> str:
    """Return an address without its query, which may hold a secret."""
    return sanitize(url.partition("?")[0])
