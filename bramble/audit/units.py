"""Strangers among units: drop-ins, units that failed, lines of cron and timers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bramble.audit.hiding import command
from bramble.audit.seen import WAIVE, Find, Seen
from bramble.plan import Stranger
from bramble.snapshot import Unknown
from bramble.system.around import Scheduled

# What generators make follows from files that are looked at; what a package brought is below these.
GENERATED = ("/run/systemd/generator",)
PACKAGED = ("/usr/lib/", "/lib/")
LONGEST_SUBJECT = 60


def drop_ins(kind: str, *, ours: bool) -> Find:
    """Find drop-ins, of units of ours or of others that are looked at."""

    def find(seen: Seen) -> Iterable[Stranger] | Unknown:
        units = seen.snapshot.units
        if isinstance(units, Unknown):
            return units
        return [
            Stranger(kind, f"{name} {path}", f"{path} changes {name}", _take_away(path), path)
            for name, unit in units.items()
            for path in unit.properties.get("DropInPaths", "").split()
            if (name in seen.units) == ours and not _is_meant(path, seen)
        ]

    return find


def _is_meant(path: str, seen: Seen) -> bool:
    """Tell whether a drop-in is planned, generated, or a package's own."""
    origins = seen.around.origins
    brought = None if isinstance(origins, Unknown) else origins.get(path)
    is_package = path.startswith(PACKAGED) and brought is not None and brought.package is not None
    return path in seen.files or path.startswith(GENERATED) or is_package


def _take_away(path: str) -> str:
    return f"`sudo rm {path} && sudo systemctl daemon-reload`; what is to stay belongs in the inventory."


def failed_units(kind: str, *, ours: bool) -> Find:
    """Find units that failed: those that are ours or looked at, or all others."""

    def find(seen: Seen) -> Iterable[Stranger] | Unknown:
        failed = seen.around.failed
        if isinstance(failed, Unknown):
            return failed
        remedy = (
            "`sudo systemctl status {0}` says why; `sudo systemctl reset-failed {0}` forgets it."
        )
        return [
            Stranger(kind, name, f"{name} failed", remedy.format(name))
            for name in failed
            if (name in seen.units or _is_looked_at(name, seen)) == ours
        ]

    return find


def _is_looked_at(name: str, seen: Seen) -> bool:
    return isinstance(seen.snapshot.units, Mapping) and name in seen.snapshot.units


def lines(kind: str) -> Find:
    """Find lines of cron, or timers, that name what is ours."""

    def find(seen: Seen) -> Iterable[Stranger] | Unknown:
        rows, origins = seen.around.scheduled, seen.around.origins
        if isinstance(rows, Unknown):
            return rows
        known = {} if isinstance(origins, Unknown) else origins
        packaged = {path for path, origin in known.items() if origin.as_packaged}
        return [
            _runs(row) for row in rows if row.kind == kind and row.path not in packaged | seen.files
        ]

    return find


def _runs(row: Scheduled) -> Stranger:
    said = command(row.line)
    remedy = f"Take it away where nobody wants it, {WAIVE}"
    subject = f"{row.path}: {said[:LONGEST_SUBJECT]}"
    return Stranger(row.kind, subject, f"{row.path} runs `{said}`", remedy, row.path)
