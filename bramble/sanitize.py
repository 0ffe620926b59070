"""What strangers say (servers, headers of files, models), so that it cannot move a terminal's cursor."""

from __future__ import annotations

LONGEST = 1000


def sanitize(text: str, keep: str = "") -> str:
    """A text with a question mark for each character that is not printed, and not to be kept."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)


def sentence(text: str) -> str:
    """The same of one that is not to fill the screen."""
    return sanitize(text[:LONGEST])


def address(url: str) -> str:
    """An address without its query, which may hold what nobody should read."""
    return sanitize(url.partition("?")[0])
