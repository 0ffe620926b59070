"""Which roles a host gets: those that its `node.roles` names, or every one.

Without that choice a role on request is the host's only where there is a section of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bramble.documents.problems import found, unknown
from bramble.documents.validation import Fault
from bramble.settings import Section

Sections = Mapping[str, type[Section]]

KEYS = ("node", "roles")
EVERY_HOST = ("ssh", "node", "audit")
"""The sections that belong to no role."""


def named(values: Mapping[str, Any]) -> list[str] | None:
    """Return the roles that plain values name; None where they name none (or no list of roles)."""
    node = values.get("node")
    said = node.get("roles") if isinstance(node, dict) else None
    return [name for name in said if isinstance(name, str)] if isinstance(said, list) else None


def chosen(sections: Sections, values: Mapping[str, Any]) -> Sections:
    """Return the sections that apply to a host: those of its roles, and those of every host."""
    names = named(values)
    if names is None:
        wanted = {name for name in sections if name in values or not sections[name].on_request}
        return {name: sections[name] for name in sections if name in wanted}
    return {name: sections[name] for name in sections if name in (*EVERY_HOST, *names)}


def faults(sections: Sections, values: Mapping[str, Any]) -> Iterator[Fault]:
    """Find unknown roles in the choice, and roles without those that they need."""
    names = named(values) or []
    known = [name for name in sections if name not in EVERY_HOST]
    for name in names:
        if name not in known:
            yield Fault(KEYS, f"node.roles: {found(KEYS, name)}: {unknown(name, known)}")
            continue
        lacking = [need for need in sections[name].needs if need not in names]
        if lacking:
            yield Fault(KEYS, f"node.roles: {name} needs {' and '.join(lacking)} too")
