"""/etc/fstab: read as libmount reads it, and edited so that all other lines stay byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PATH = "/etc/fstab"
# Each option with those that it takes the place of.
_RIVALS: Mapping[str, tuple[str, ...]] = {
    "noatime": ("atime", "relatime", "norelatime", "strictatime", "nostrictatime"),
    "nofail": ("fail",),
}


@dataclass(frozen=True)
class Entry:
    """One file system of fstab, and the number of its line, from 0."""

    line: int
    source: str
    target: str
    fstype: str
    options: tuple[str, ...]


def entries(text: str) -> tuple[Entry, ...]:
    """The file systems in a text; lines that are broken are left out, as libmount leaves them out."""
    found = (_entry(number, line) for number, line in enumerate(text.split("\n")))
    return tuple(entry for entry in found if entry)


def broken(text: str) -> tuple[str, ...]:
    """The lines that are neither blank, nor a comment, nor a file system."""
    return tuple(
        line
        for number, line in enumerate(text.split("\n"))
        if line.strip() and not line.lstrip().startswith("#") and _entry(number, line) is None
    )


def at(text: str, target: str) -> Entry | None:
    """The entry that is mounted at a folder: the last, as it hides those before it."""
    found = [entry for entry in entries(text) if entry.target.rstrip("/") == target.rstrip("/")]
    return found[-1] if found else None


def _entry(number: int, line: str) -> Entry | None:
    if line.lstrip().startswith("#"):
        return None
    fields = line.split()
    if len(fields) < 3 or not all(field.isdecimal() for field in fields[4:6]):
        return None
    source, target, fstype, *rest = fields
    options = tuple(rest[0].split(",")) if rest else ()
    return Entry(number, _plain(source), _plain(target), fstype, options)


def _plain(field: str) -> str:
    """A field without its escapes: blanks are octal numbers there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def with_options(
    text: str, target: str, wanted: Sequence[str], unwanted: Iterable[str] = ()
) -> str:
    """The text with these options at a folder's entry; the same text where it has them or is absent.

    An option with a value (`x-systemd.device-timeout=15s`) is there with any value.
    """
    entry = at(text, target)
    if entry is None:
        return text
    dropped = {rival for one in wanted for rival in _RIVALS.get(one, ())} | set(unwanted)
    kept = [one for one in entry.options if one not in dropped]
    names = {one.partition("=")[0] for one in kept}
    new = [one for one in wanted if one.partition("=")[0] not in names]
    options = tuple(kept + new)
    return text if options == entry.options else _with_field(text, entry.line, 3, ",".join(options))


def with_source(text: str, target: str, source: str) -> str:
    """The text with another source at a folder's entry."""
    entry = at(text, target)
    if entry is None or entry.source == source:
        return text
    return _with_field(text, entry.line, 0, source)


def _with_field(text: str, number: int, place: int, value: str) -> str:
    """The text with one field of a line replaced, and the blanks around it as they were."""
    lines = text.split("\n")
    found = list(re.finditer(r"\S+", lines[number]))
    if place < len(found):
        start, end = found[place].span()
        lines[number] = f"{lines[number][:start]}{value}{lines[number][end:]}"
    else:
        lines[number] = f"{lines[number].rstrip()} {value}"
    return "\n".join(lines)


def with_line(text: str, number: int, line: str) -> str:
    """The text with one line replaced."""
    lines = text.split("\n")
    return "\n".join([*lines[:number], line, *lines[number + 1 :]])


def added(text: str, comment: str, line: str) -> str:
    """The text with a line of ours at its end, below a comment that says whose it is."""
    if text and not text.endswith("\n"):
        text += "\n"
    return f"{text}{comment}\n{line}\n"


def is_ours(text: str, comment: str, target: str) -> bool:
    """Whether a folder's entry stands directly below our comment."""
    entry = at(text, target)
    return entry is not None and text.split("\n")[entry.line - 1 : entry.line] == [comment]


def without(text: str, comment: str, target: str) -> str:
    """The text without our comment and the entry below it; the same text where it is not ours."""
    entry = at(text, target)
    if entry is None or not is_ours(text, comment, target):
        return text
    lines = text.split("\n")
    return "\n".join(lines[: entry.line - 1] + lines[entry.line + 1 :])


def unit_of(target: str) -> str:
    """The mount unit that systemd makes of an entry, as `systemd-escape --path` names it."""
    path = target.strip("/")
    if not path:
        return "-.mount"
    escaped = re.sub(r"[^A-Za-z0-9:_./]|^\.", lambda found: f"\\x{ord(found[0]):02x}", path)
    return f"{escaped.replace('/', '-')}.mount"
