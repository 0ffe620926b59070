"""/etc/fstab, parsed as a boot parses it, and edited so that all other lines stay byte for byte.

Two parsers count: systemd-fstab-generator, which makes the mount units of a boot (glibc's
getmntent), and libmount, which mount(8) and findmnt use. A line that they would read differently, or
that lacks a field, is broken: it is reported, and neither used nor edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

PATH = "/etc/fstab"
TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
# Each option with those that it replaces.
_RIVALS: Mapping[str, tuple[str, ...]] = {
    "noatime": ("atime", "relatime", "norelatime", "strictatime", "nostrictatime"),
    "nofail": ("fail",),
}
# Options that every file system has (mount(8)): none of them is a type.
_OPTIONS = re.compile(
    "defaults|r[ow]|(no)?user|users|owner|group|(no)?(rel|strict|dir|lazy|a)(a?time)|noauto|_netdev|"
    "(no)?(dev|exec|suid|fail|discard)|a?sync|dirsync|r?bind|remount|sw|x-.*|.*=.*"
)
# glibc's getmntent knows these escapes, and libmount every octal number.
_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\", r"\\": "\\"}
_FIELD = re.compile(r"[^ \t]+")


@dataclass(frozen=True)
class Entry:
    """One file system of fstab, with the number of its line from 0."""

    line: int
    source: str
    target: str
    fstype: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Broken:
    """A line that is neither blank, nor a comment, nor a file system, with why; numbered from 0."""

    line: int
    text: str
    why: str

    def names(self, target: str) -> bool:
        """Return whether any field names a folder: what such a line does at boot is not known."""
        return any(_simple(_plain(field)) == _simple(target) for field in _FIELD.findall(self.text))


def entries(text: str) -> tuple[Entry, ...]:
    """Return the file systems in a text, without the broken lines."""
    return tuple(line for line in _lines(text) if isinstance(line, Entry))


def broken(text: str) -> tuple[Broken, ...]:
    """Return the lines that are neither blank, nor a comment, nor a file system."""
    return tuple(line for line in _lines(text) if isinstance(line, Broken))


@lru_cache(maxsize=256)
def _lines(text: str) -> tuple[Entry | Broken, ...]:
    """Parse each line that is neither blank nor a comment.

    Cached, as a fleet's plans and checks parse the same texts many times.
    """
    found = (_read(number, line) for number, line in enumerate(text.split("\n")))
    return tuple(line for line in found if line is not None)


def all_at(text: str, target: str) -> tuple[Entry, ...]:
    """Return every entry for a folder; only the first is mounted at boot."""
    return tuple(entry for entry in entries(text) if entry.target == _simple(target))


def at(text: str, target: str) -> Entry | None:
    """Return the entry that is mounted at a folder: the first, for systemd and mount(8) alike."""
    return next(iter(all_at(text, target)), None)


def repeated(text: str) -> tuple[tuple[Entry, ...], ...]:
    """Return groups of entries for one folder, or for one swap, of which only the first is used."""
    places: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries(text):
        swap = entry.fstype == "swap"
        places.setdefault(("swap", entry.source) if swap else ("", entry.target), []).append(entry)
    return tuple(tuple(found) for found in places.values() if len(found) > 1)


def _read(number: int, line: str) -> Entry | Broken | None:
    """Parse a line: a file system, a broken line, or None for a blank one or a comment."""
    fields = _FIELD.findall(line)
    if not fields or fields[0].startswith("#"):
        return None
    why = _wrong(fields)
    if why:
        return Broken(number, line.strip(), why)
    source, target, fstype = map(_plain, fields[:3])
    target = target if fstype == "swap" else _simple(target)
    # Options keep their escapes, as they are written back.
    options = tuple(fields[3].split(",")) if len(fields) > 3 else ()
    return Entry(number, _unquoted(source), target, fstype, options)


def _wrong(fields: Sequence[str]) -> str | None:
    """Say what is wrong with a line; return None where nothing is."""
    if len(fields) < 3:
        return f"it has {len(fields)} of the fields source, folder, type, options, dump and pass"
    odd = next((sign for sign in "".join(fields) if not sign.isprintable()), None)
    if odd is not None:
        end = ", as Windows ends lines" if odd == "\r" else ", which parts no fields"
        return f"it has the character U+{ord(odd):04X}{end}"
    for field in fields[4:6]:
        if not re.fullmatch(r"[0-9]{1,9}", field):
            return f"{field} stands where a number should; is there a blank in its options?"
    if re.search("[\"']", _unquoted(_plain(fields[0]))):
        return f"there is a quote within its source {fields[0]}"
    if any(_plain(field) != _octal(field) for field in fields[:4]):
        return "systemd and mount(8) read its escapes differently"
    return _misplaced(*map(_plain, fields[:4]))


def _misplaced(source: str, target: str, fstype: str, options: str = "") -> str | None:
    """Say which field is wrong, as fields are once one was left out; return None where all are right."""
    if any(field.startswith("#") for field in (target, fstype, options)):
        return "a comment stands where a field should"
    option = next((w for w in fstype.split(",") if _OPTIONS.fullmatch(w)), None)
    if option is not None:
        return f"its type is missing: {option} is an option"
    if options.isdecimal():
        return f"its options are missing, and {options} stands for them; write defaults"
    if fstype != "swap" and (not target.startswith("/") or ".." in target.split("/")):
        return f"{target} is no folder"
    return None


def _plain(field: str) -> str:
    """Return a field with the escapes that glibc knows replaced."""
    return re.sub(r"\\(?:040|011|012|134|\\)", lambda match: _ESCAPES[match[0]], field)


def _octal(field: str) -> str:
    """Return a field with the escapes that libmount knows replaced."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8) & 0xFF), field)


def _simple(target: str) -> str:
    """Return a folder's path without empty parts and dots."""
    if not target.startswith("/"):
        return target
    return "/".join(["", *(part for part in target.split("/") if part not in ("", "."))]) or "/"


def _unquoted(source: str) -> str:
    """Return a source without the quotes around a tag's value, which both parsers remove."""
    name, equals, value = source.partition("=")
    quoted = re.fullmatch(r"([\"'])(.*)\1", value) if name in TAGS and equals else None
    return f"{name}={quoted[2]}" if quoted else source


def tag(source: str) -> tuple[str, str] | None:
    """Return the tag and value by which a source names a volume.

    None for another path and for what is no disk's. A path such as /dev/disk/by-uuid/... is what
    systemd makes of a tag.
    """
    name, equals, value = source.partition("=")
    if name in TAGS and equals:
        return name, value
    found = re.fullmatch(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/([^/]+)", source)
    return (found[1].upper(), _udev(found[2])) if found else None


def _udev(name: str) -> str:
    """Return a name below /dev/disk without udev's escapes, which are bytes of UTF-8."""
    if not re.search(r"\\x[0-9a-f]{2}", name):
        return name
    plain = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), name.encode())
    return plain.decode("utf-8", "replace")


def with_options(
    text: str, target: str, wanted: Sequence[str], unwanted: Iterable[str] = ()
) -> str:
    """Return the text with these options at a folder's entry; unchanged without such an entry.

    An option with a value (`x-systemd.device-timeout=15s`) counts as there with any value.
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
    """Return the text with another source at a folder's entry."""
    entry = at(text, target)
    if entry is None or entry.source == source:
        return text
    return _with_field(text, entry.line, 0, source)


def with_type(text: str, target: str, fstype: str) -> str:
    """Return the text with a file system's type at a folder's entry; `auto` stays."""
    entry = at(text, target)
    if entry is None or {"auto", fstype} & set(entry.fstype.split(",")):
        return text
    return _with_field(text, entry.line, 2, fstype)


def _with_field(text: str, number: int, place: int, value: str) -> str:
    """Return the text with one field of a line replaced, and its blanks as they were."""
    lines = text.split("\n")
    found = list(_FIELD.finditer(lines[number]))
    if place < len(found):
        start, end = found[place].span()
        lines[number] = f"{lines[number][:start]}{value}{lines[number][end:]}"
    else:
        lines[number] = f"{lines[number].rstrip()} {value}"
    return "\n".join(lines)


def with_line(text: str, number: int, line: str) -> str:
    """Return the text with one line replaced."""
    lines = text.split("\n")
    return "\n".join([*lines[:number], line, *lines[number + 1 :]])


def added(text: str, comment: str, line: str) -> str:
    """Return the text with a line at its end, below a comment that names its owner."""
    if text and not text.endswith("\n"):
        text += "\n"
    return f"{text}{comment}\n{line}\n"


def ours(text: str, comment: str, target: str) -> Entry | None:
    """Return the entry for a folder that stands directly below our comment; None where there is none."""
    lines = text.split("\n")
    found = (e for e in all_at(text, target) if e.line and lines[e.line - 1] == comment)
    return next(found, None)


def is_ours(text: str, comment: str, target: str) -> bool:
    """Return whether the entry that is mounted at a folder is the one below our comment."""
    entry = at(text, target)
    return entry is not None and entry == ours(text, comment, target)


def without(text: str, comment: str, target: str) -> str:
    """Return the text without our comment and the entry below it; unchanged where there is none."""
    entry = ours(text, comment, target)
    if entry is None:
        return text
    lines = text.split("\n")
    return "\n".join(lines[: entry.line - 1] + lines[entry.line + 1 :])


def unit_of(target: str) -> str:
    """Return the mount unit that systemd makes of an entry, as `systemd-escape --path` names it."""
    path = target.strip("/")
    if not path:
        return "-.mount"
    escaped = re.sub(r"[^A-Za-z0-9:_./]|^\.", lambda found: f"\\x{ord(found[0]):02x}", path)
    return f"{escaped.replace('/', '-')}.mount"
