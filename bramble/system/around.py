"""What an audit's look sees beside the plan: rows of `bramble/remote/audit.py` in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Holder:
    """A process that holds a listening socket: its program, its user, and its unit."""

    exe: str
    user: str
    unit: str


@dataclass(frozen=True)
class Keys:
    """The keys that open an account: their fingerprints, and the file that has them."""

    user: str
    path: str
    fingerprints: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A file or folder of ours that others may write to, or a folder that is another's."""

    path: str
    kind: str
    mode: int
    owner: str
    group: str


@dataclass(frozen=True)
class Loose:
    """Such entries; `more` counts those left out, and `whole` says whether all was looked at."""

    entries: tuple[Entry, ...]
    more: int
    whole: bool


@dataclass(frozen=True)
class Scheduled:
    """A line of cron, or a timer's command: `kind` says which, `path` is the file of it."""

    kind: str
    path: str
    line: str


@dataclass(frozen=True)
class Origin:
    """What a file system and dpkg tell of a path.

    `modified_s` is when its content was written, as far as nobody set that; `changed_s` when anything of
    it was. `as_packaged` says whether it has the checksum of its package, None where there is none.
    """

    owner: str
    group: str
    mode: int
    modified_s: int
    changed_s: int
    package: str | None
    as_packaged: bool | None


@dataclass(frozen=True)
class Ran:
    """A command that somebody ran by sudo."""

    at_s: int
    user: str
    command: str


@dataclass(frozen=True)
class Sudo:
    """The commands of sudo's journal that bear on files, and when that journal begins."""

    ran: tuple[Ran, ...]
    begins_s: int | None


_LINE = re.compile(r"^\s*(?P<user>\S+) : .*?\bCOMMAND=(?P<command>.*)$", re.DOTALL)


def holders(part: Mapping[str, Mapping[str, str]]) -> Mapping[str, Holder]:
    """Return the processes by their numbers."""
    return {pid: Holder(**one) for pid, one in part.items()}


def keys(part: Sequence[Mapping[str, Any]]) -> tuple[Keys, ...]:
    """Return the accounts with keys."""
    return tuple(Keys(one["user"], one["path"], tuple(one["fingerprints"])) for one in _rows(part))


def loose(part: Mapping[str, Any]) -> Loose:
    """Return what others may write to."""
    entries = tuple(Entry(**one) for one in _rows(part["entries"]))
    return Loose(entries, part["more"], part["whole"])


def scheduled(part: Sequence[Mapping[str, str]]) -> tuple[Scheduled, ...]:
    """Return what cron and timers run."""
    return tuple(Scheduled(**one) for one in _rows(part))


def origins(part: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Origin]:
    """Return what is known of each path."""
    return {path: Origin(**one) for path, one in part.items()}


def sudo(part: Mapping[str, Any]) -> Sudo:
    """Return what was run by sudo; a line in another form tells of nobody."""
    found = ((one["at_s"], _LINE.match(one["message"])) for one in _rows(part["lines"]))
    ran = tuple(Ran(at_s, line["user"], line["command"]) for at_s, line in found if line)
    return Sudo(ran, part["begins_s"])


def names(part: Sequence[str]) -> tuple[str, ...]:
    """Return names."""
    return tuple(_rows(part))


def _rows(part: Any) -> list[Any]:
    if not isinstance(part, list):
        raise TypeError(f"{type(part).__name__} and not a list")
    return part
