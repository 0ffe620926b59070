"""/etc/fstab: read as what boots reads it, and edited so that all other lines stay byte for byte.

Two readers count: systemd-fstab-generator, which makes the mount units of a boot (glibc's
getmntent), and libmount, by which mount(8) and findmnt go. Where they would not read the same in a
line, or where a field was left out, the line is broken: it is told, and neither used nor edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

PATH = "/etc/fstab"
TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
# Each option with those that it takes the place of.
_RIVALS: Mapping[str, tuple[str, ...]] = {
    "noatime": ("atime", "relatime", "norelatime", "strictatime", "nostrictatime"),
    "nofail": ("fail",),
}
# Options that any file system takes (mount(8)): none of them is a type.
_OPTIONS = re.compile(
    "defaults|r[ow]|(no)?user|users|owner|group|(no)?(rel|strict|dir|lazy|a)(a?time)|noauto|_netdev|"
    "(no)?(dev|exec|suid|fail|discard)|a?sync|dirsync|r?bind|remount|sw|x-.*|.*=.*"
)
# glibc's getmntent knows these escapes, and libmount every octal number.
_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\", r"\\": "\\"}
_FIELD = re.compile(r"[^ \t]+")


@dataclass(frozen=True)
class Entry:
    """One file system of fstab, and the number of its line, from 0."""

    line: int
    source: str
    target: str
    fstype: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Broken:
    """A line that is neither blank, nor a comment, nor a file system, and why; its number from 0."""

    line: int
    text: str
    why: str

    def names(self, target: str) -> bool:
        """Whether a folder stands anywhere in it: what it does at boot is not known."""
        return any(_simple(_plain(field)) == _simple(target) for field in _FIELD.findall(self.text))


def entries(text: str) -> tuple[Entry, ...]:
    """The file systems in a text, without the lines that are broken."""
    return tuple(line for line in _lines(text) if isinstance(line, Entry))


def broken(text: str) -> tuple[Broken, ...]:
    """The lines that are neither blank, nor a comment, nor a file system."""
    return tuple(line for line in _lines(text) if isinstance(line, Broken))


@lru_cache(maxsize=256)
def _lines(text: str) -> tuple[Entry | Broken, ...]:
    """Each line that means something; a fleet's plans and checks ask for the same texts many times."""
    found = (_read(number, line) for number, line in enumerate(text.split("\n")))
    return tuple(line for line in found if line is not None)


def all_at(text: str, target: str) -> tuple[Entry, ...]:
    """Every entry for a folder; only the first is mounted at boot."""
    return tuple(entry for entry in entries(text) if entry.target == _simple(target))


def at(text: str, target: str) -> Entry | None:
    """The entry that is mounted at a folder: the first, which both systemd and mount(8) take."""
    return next(iter(all_at(text, target)), None)


def repeated(text: str) -> tuple[tuple[Entry, ...], ...]:
    """Entries for one folder, or for one swap, of which only the first counts."""
    places: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries(text):
        swap = entry.fstype == "swap"
        places.setdefault(("swap", entry.source) if swap else ("", entry.target), []).append(entry)
    return tuple(tuple(found) for found in places.values() if len(found) > 1)


def _read(number: int, line: str) -> Entry | Broken | None:
    """A line's file system, what is wrong with the line, or None where it means nothing."""
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
    """What is wrong with a line, None for nothing."""
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
    """What stands where something else should, as it does once a field was left out."""
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
    """A field without its escapes, as glibc takes them out."""
    return re.sub(r"\\(?:040|011|012|134|\\)", lambda match: _ESCAPES[match[0]], field)


def _octal(field: str) -> str:
    """A field without its escapes, as libmount takes them out."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8) & 0xFF), field)


def _simple(target: str) -> str:
    """A folder's path without what does not count in it."""
    if not target.startswith("/"):
        return target
    return "/".join(["", *(part for part in target.split("/") if part not in ("", "."))]) or "/"


def _unquoted(source: str) -> str:
    """A source without the quotes around a tag's value, which both readers take off."""
    name, equals, value = source.partition("=")
    quoted = re.fullmatch(r"([\"'])(.*)\1", value) if name in TAGS and equals else None
    return f"{name}={quoted[2]}" if quoted else source


def tag(source: str) -> tuple[str, str] | None:
    """The tag and the value by which a source names a volume; None for a path, or what is no disk's.

    A path such as /dev/disk/by-uuid/... is what systemd makes of a tag.
    """
    name, equals, value = source.partition("=")
    if name in TAGS and equals:
        return name, value
    found = re.fullmatch(r"/dev/disk/by-(uuid|label|partuuid|partlabel)/([^/]+)", source)
    return (found[1].upper(), _udev(found[2])) if found else None


def _udev(name: str) -> str:
    """A name below /dev/disk without udev's escapes, which are bytes of UTF-8."""
    if not re.search(r"\\x[0-9a-f]{2}", name):
        return name
    plain = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), name.encode())
    return plain.decode("utf-8", "replace")


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


def with_type(text: str, target: str, fstype: str) -> str:
    """The text with a file system's type at a folder's entry; one that is found out (auto) stays."""
    entry = at(text, target)
    if entry is None or {"auto", fstype} & set(entry.fstype.split(",")):
        return text
    return _with_field(text, entry.line, 2, fstype)


def _with_field(text: str, number: int, place: int, value: str) -> str:
    """The text with one field of a line replaced, and the blanks around it as they were."""
    lines = text.split("\n")
    found = list(_FIELD.finditer(lines[number]))
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


def ours(text: str, comment: str, target: str) -> Entry | None:
    """The entry for a folder that stands directly below our comment."""
    lines = text.split("\n")
    found = (e for e in all_at(text, target) if e.line and lines[e.line - 1] == comment)
    return next(found, None)


def is_ours(text: str, comment: str, target: str) -> bool:
    """Whether what is mounted at a folder is named by the line below our comment."""
    entry = at(text, target)
    return entry is not None and entry == ours(text, comment, target)


def without(text: str, comment: str, target: str) -> str:
    """The text without our comment and the entry below it; the same text where there is none."""
    entry = ours(text, comment, target)
    if entry is None:
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
