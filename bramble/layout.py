"""Lines and tables for people: as wide as the terminal, never broken inside a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_LEAST = 20
"""A terminal of fewer columns is written to as if it had these."""


def wrapped(text: str, width: int | None, hang: int = 2) -> str:
    """Wrap lines that are too long between words, and indent the rest by `hang` more.

    Without a width (a file, a pipe) every line stays whole, for programs that look for it.
    """
    if width is None:
        return text
    return "\n".join(
        part for line in text.split("\n") for part in _broken(line, max(width, _LEAST), hang)
    )


def table(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Lay rows out in columns below the first one, which names them.

    Where they do not fit, each row is a first cell with a line for each other cell that says something.
    """
    sizes = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  ".join([*(c.ljust(n) for c, n in zip(row, sizes, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
    if width is None or max(map(len, lines)) <= width:
        return lines
    names = [name.lower() for name in rows[0]]
    said = [
        [
            row[0],
            *(f"  {name}: {cell}" for name, cell in zip(names[1:], row[1:], strict=True) if cell),
        ]
        for row in rows[1:]
    ]
    return [wrapped(line, width, 4) for row in said for line in row]


def _broken(line: str, width: int, hang: int) -> Iterator[str]:
    if _visible(line) <= width:
        yield line
        return
    indent = len(line) - len(line.lstrip(" "))
    begun, rest = " " * indent, " " * min(indent + hang, width // 2)
    for word in line[indent:].split(" "):
        longer = f"{begun} {word}" if begun.strip() else begun + word
        if begun.strip() and _visible(longer) > width:
            yield begun.rstrip()
            longer = rest + word
        begun = longer
    yield begun


def _visible(text: str) -> int:
    return len(_STYLE.sub("", text))
