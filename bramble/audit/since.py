"""Compare an audit with an earlier one: what is new, what changed, and what is gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from bramble.audit.result import Audit, HostAudit, Item, state_of

SUFFIX = "-audit.json"
LAST = "LAST"


class NoAudit(Exception):
    """An earlier audit that cannot be compared with; the text says why."""


def read(file: Path) -> Audit:
    """Read an audit that was kept; raise NoAudit where the file holds none."""
    try:
        return Audit.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NoAudit(f"{file}: {error.strerror}; `bramble audit --json` prints one") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise NoAudit(
            f"{file} is no audit; what `bramble audit --json` printed, or {LAST}, is allowed"
        ) from error


def keep(audit: Audit, file: Path) -> None:
    """Write an audit where later ones find it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{audit.model_dump_json(indent=1)}\n", encoding="utf-8")


def kept(folder: Path) -> list[Path]:
    """Return the files of the audits that were kept, the newest first."""
    return sorted(folder.glob(f"*{SUFFIX}"), reverse=True)


def last(folder: Path, hosts: Sequence[str]) -> Audit:
    """Return of each host the newest audit that could tell of it; raise NoAudit for none at all."""
    found: dict[str, HostAudit] = {}
    newest: Audit | None = None
    for file in kept(folder):
        audit = read(file)
        newest = newest or audit
        for host in audit.hosts:
            if host.host in hosts and not host.why:
                found.setdefault(host.host, host)
        if set(found) >= set(hosts):
            break
    if newest is None:
        raise NoAudit(f"{folder} has no earlier audit; `bramble audit` keeps one there")
    return Audit(at=newest.at, hosts=tuple(found.values()))


def differences(now: Iterable[HostAudit], before: Audit) -> tuple[HostAudit, ...]:
    """Return the hosts with those items alone that are not as they were."""
    earlier = {host.host: host.items for host in before.hosts}
    return tuple(_difference(host, earlier.get(host.host, ())) for host in now)


def _difference(host: HostAudit, before: tuple[Item, ...]) -> HostAudit:
    if host.why:
        return host
    items = tuple(_changes(host.items, before))
    return host.model_copy(update={"items": items, "state": state_of(items)})


def _changes(now: tuple[Item, ...], before: tuple[Item, ...]) -> Iterator[Item]:
    """Yield what is new and what changed, then what is gone: a finding, not a check that passed."""
    earlier = {item.id: item for item in before}
    for item in now:
        was = earlier.pop(item.id, None)
        if was is None and item.is_told:
            yield item.model_copy(update={"change": "new"})
        elif was is not None and _essence(was) != _essence(item):
            yield item.model_copy(update={"change": "changed"})
    for item in earlier.values():
        if item.is_told:
            yield item.model_copy(update={"change": "gone"})


def _essence(item: Item) -> str:
    """Return what makes an item another one: figures within a check that passes change all the time."""
    if item.status in ("pass", "skip"):
        return item.status
    return json.dumps([item.status, item.got, item.diffs])
