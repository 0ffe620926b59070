"""Who changed a file and when, from what the node's file system, dpkg and sudo's journal tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from bramble.audit.around import Around
from bramble.audit.hiding import command
from bramble.audit.result import Origin, SudoLine
from bramble.remote.origins import AFTER_S, WINDOW_S
from bramble.sanitize import sanitize
from bramble.snapshot import Unknown
from bramble.system.around import Origin as Seen
from bramble.system.around import Ran, Sudo

MOST_LINES = 3
# The whole of what sudo logs of them, so that nothing can stand behind it unseen.
_SENT = re.compile(r"(?:\S*/)?sh -c '?python3 -Iu(?: -'?|c \\*'import (?:base64, zlib|sys);?)")
MOST_PATHS = 10
LATEST_S = 253_402_300_799
"""The end of the year 9999; a node may tell of any time."""


def origins(paths: Iterable[str], around: Around) -> tuple[Origin, ...]:
    """Return who changed each of these files, as far as that can be told."""
    return tuple(origin(path, around) for path in list(dict.fromkeys(paths))[:MOST_PATHS])


def origin(path: str, around: Around) -> Origin:
    """Return who changed a file; what the node does not tell is named as not known."""
    if isinstance(around.origins, Unknown):
        return _nothing(path, around, f"who changed it: {around.origins.why}")
    seen = around.origins.get(path)
    if seen is None:
        return _nothing(path, around, "when it went: it is not there, or was not looked at")
    changes = {seen.modified_s, seen.changed_s}
    return Origin(
        path=path,
        owner=f"{seen.owner}:{seen.group} {seen.mode:04o}",
        modified=moment(seen.modified_s),
        changed=moment(seen.changed_s),
        package=seen.package,
        as_packaged=seen.as_packaged,
        sudo=_lines(path, changes, around.sudo),
        not_known=tuple(_not_known(seen, path, around.sudo)),
    )


def _nothing(path: str, around: Around, why: str) -> Origin:
    return Origin(
        path=path,
        owner=None,
        modified=None,
        changed=None,
        package=None,
        as_packaged=None,
        sudo=_lines(path, set(), around.sudo),
        not_known=(why,),
    )


def _lines(path: str, changes: set[int], sudo: Sudo | Unknown) -> tuple[SudoLine, ...]:
    """Return the last commands that name the path or began shortly before a change, each once."""
    ran = () if isinstance(sudo, Unknown) else sudo.ran
    found = [one for one in ran if path in one.command or _precedes(one, changes)]
    found.sort(key=lambda one: one.at_s)
    last = {(one.user, one.command): one for one in found}
    kept = sorted(last.values(), key=lambda one: one.at_s)[-MOST_LINES:]
    return tuple(
        SudoLine(at=at, user=sanitize(one.user), command=command(one.command))
        for one in kept
        if (at := moment(one.at_s))
    )


def _precedes(ran: Ran, changes: Iterable[int]) -> bool:
    return any(at_s - WINDOW_S <= ran.at_s <= at_s + AFTER_S for at_s in changes)


def _not_known(seen: Seen, path: str, sudo: Sudo | Unknown) -> Iterator[str]:
    """Yield what cannot be told of a file that is there."""
    if isinstance(sudo, Unknown):
        yield f"who ran commands: sudo's journal cannot be read ({sanitize(sudo.why)})"
        return
    changed_s = max(seen.modified_s, seen.changed_s)
    if sudo.begins_s is None or sudo.begins_s > changed_s:
        yield "who changed it: the journal does not reach back to then"
    elif not _lines(path, {seen.modified_s, seen.changed_s}, sudo):
        yield "who changed it: nobody ran a command by sudo then; a shell of root's leaves no line"


def moment(seconds: int) -> datetime | None:
    """Return a time in seconds since 1970; None for one that no calendar has."""
    return datetime.fromtimestamp(seconds, UTC) if 0 <= seconds <= LATEST_S else None


def sentence(origin: Origin) -> str:
    """Return an origin as a sentence for people."""
    parts = []
    if origin.changed:
        parts.append(f"changed {_shown(origin.changed)}")
    if origin.modified and origin.modified != origin.changed:
        parts.append(f"written {_shown(origin.modified)}")
    if origin.owner:
        parts.append(origin.owner)
    if origin.package:
        words = {True: "as it brought it", False: "not as it brought it", None: ""}
        said = words[origin.as_packaged]
        parts.append(f"of package {origin.package}{', ' if said else ''}{said}")
    elif origin.owner:
        parts.append("of no package")
    parts += [f"sudo {_shown(line.at)} {line.user}: {_ran(line)}" for line in origin.sudo]
    parts += [f"not known: {why}" for why in origin.not_known]
    return f"{origin.path}: {'; '.join(parts)}"


def _ran(line: SudoLine) -> str:
    """Return a command for people: a program that came over SSH says nothing by its first words."""
    return (
        "a program, sent as bramble sends them" if _SENT.fullmatch(line.command) else line.command
    )


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
