"""Waive what an inventory leaves as it is, until its last day; an expired waiver is a failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

from bramble.audit.result import ROLE, WAIVER, Item, Waived
from bramble.audit.settings import Waiver
from bramble.documents.problems import unknown

WAIVABLE = ("fail", "warn", "unknown")
WANT = "no waiver that has expired, or that names what there is not"


@dataclass(frozen=True)
class Names:
    """What a waiver may name: checks as ROLE.CHECK, roles, and kinds of findings."""

    checks: tuple[str, ...]
    roles: tuple[str, ...]
    kinds: tuple[str, ...]


def problem_of(what: str, names: Names) -> str | None:
    """Return what is wrong with the name of what is waived; None for one that can be.

    Which steps a role has only a host's plan says: `applied` finds those that there are not.
    """
    role, colon, step = what.partition(": ")
    kind, blank, subject = what.partition(" ")
    if kind in names.kinds and blank and subject.strip():
        return None
    if colon and " " not in role and step.strip():
        return None if role in names.roles else f"no role '{role}'; {unknown(role, names.roles)}"
    if kind in names.kinds:
        return f"'{kind}' lacks its subject; for any write '{kind} *'"
    if any(matches(name, what) for name in names.checks):
        return None
    known = (*names.checks, *(f"{name} *" for name in names.kinds))
    word = what if "." in what else kind
    several = names.checks if "." in what else names.kinds
    return f"no check, step or kind of finding '{what}'; {unknown(word, several, known)}"


def problem_of_hosts(waiver: Waiver, hosts: Sequence[str]) -> str | None:
    """Return what is wrong with the hosts that a waiver names; None where all are some."""
    for pattern in waiver.hosts or ():
        if not any(matches(name, pattern) for name in hosts):
            return f"no host '{pattern}'; {unknown(pattern, hosts)}"
    return None


def matches(name: str, pattern: str) -> bool:
    """Tell whether a pattern with * and ? is for a name; brackets stand for themselves ([::]:22)."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def counts_for(waiver: Waiver, host: str) -> bool:
    """Tell whether a waiver is for a host."""
    return waiver.hosts is None or any(matches(host, pattern) for pattern in waiver.hosts)


def applied(
    items: Iterable[Item], waivers: Iterable[Waiver], host: str, steps: Sequence[str], today: date
) -> tuple[Item, ...]:
    """Waive the items that valid waivers name, and add one for each waiver that is none any more.

    `steps` are the host's, due or not, as `ROLE: STEP`.
    """
    own = [waiver for waiver in waivers if counts_for(waiver, host)]
    valid = [waiver for waiver in own if waiver.until >= today]
    waived = tuple(_waived(item, valid) for item in items)
    return (*waived, *_expired(own, today), *_strange(own, steps))


def _waived(item: Item, valid: Iterable[Waiver]) -> Item:
    found = next((one for one in valid if matches(item.id, one.what)), None)
    if found is None or item.status not in WAIVABLE:
        return item
    named = Waived(owner=found.owner, reason=found.reason, until=found.until, status=item.status)
    return item.model_copy(update={"status": "waived", "waiver": named})


def _expired(own: Iterable[Waiver], today: date) -> Iterator[Item]:
    for waiver in own:
        if waiver.until < today:
            got = f"the waiver of {waiver.owner} ({waiver.reason}) ended on {waiver.until}"
            remedy = "Mend what it waives, or take it out; who answers for it may set a later day."
            yield _item(waiver, got, remedy)


def _strange(own: Iterable[Waiver], steps: Sequence[str]) -> Iterator[Item]:
    """Yield waivers of a step that a role of this host has not."""
    roles = {step.partition(": ")[0] for step in steps}
    for waiver in own:
        role, colon, _ = waiver.what.partition(": ")
        if not colon or role not in roles or any(matches(step, waiver.what) for step in steps):
            continue
        of_role = [step for step in steps if step.startswith(f"{role}: ")]
        yield _item(waiver, f"no step '{waiver.what}'", f"{unknown(waiver.what, of_role)}")


def _item(waiver: Waiver, got: str, remedy: str) -> Item:
    return Item(
        id=f"{WAIVER} {waiver.what}",
        kind=WAIVER,
        role=ROLE,
        status="fail",
        got=got,
        want=WANT,
        remedy=remedy,
    )
