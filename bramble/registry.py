"""The roles that there are, found by their folders so that nothing else needs to know their names."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from bramble.plan import NodePlan, Outputs
from bramble.role import Role
from bramble.settings import Node, Section, Ssh

AnyRole = Role[Any, Any]


class RegistryError(Exception):
    """A role that cannot be one; the text says where it is and what to do."""


@cache
def roles() -> tuple[AnyRole, ...]:
    """Return every role, in the order in which a node gains them."""
    folder = importlib.import_module("bramble.roles").__path__
    names = sorted(found.name for found in pkgutil.iter_modules(folder) if found.ispkg)
    return in_order(_role(f"bramble.roles.{name}.role", name) for name in names)


def role(name: str) -> AnyRole:
    """Return the role of this name; raise LookupError for an unknown one."""
    found = next((role for role in roles() if role.name == name), None)
    if found is None:
        raise LookupError(f"there is no role {name}")
    return found


def giving(kind: type[Outputs]) -> AnyRole:
    """Return the role that gives outputs of this kind; raise LookupError where none does."""
    found = next((role for role in roles() if _gives(role, kind)), None)
    if found is None:
        raise LookupError(f"no role gives {kind.__name__}")
    return found


def lacking(plan: NodePlan, kinds: Iterable[type[Outputs]]) -> tuple[str, ...]:
    """Name the roles that would give what a node's plan has not."""
    return tuple(giving(kind).name for kind in kinds if plan.outputs.find(kind) is None)


def names_giving(kinds: Iterable[type[Outputs]]) -> str:
    """Name the roles that give these kinds, for people."""
    return ", ".join(giving(kind).name for kind in kinds)


@cache
def sections() -> dict[str, type[Section]]:
    """Return the settings sections of a host by name: `ssh`, `node` and one for each role."""
    everyone: dict[str, type[Section]] = {"ssh": Ssh, "node": Node}
    return everyone | {role.name: role.settings for role in roles()}


def roles_of(settings: Mapping[str, Section]) -> tuple[AnyRole, ...]:
    """Return the roles that a host gets: those that its settings have a section of."""
    return tuple(role for role in roles() if role.name in settings)


def dependents(name: str) -> tuple[str, ...]:
    """Return the roles that stand on this one, the last first."""
    return tuple(
        role.name
        for role in reversed(roles())
        if name in (*role.settings.needs, *role.settings.uses)
    )


def in_order(found: Iterable[AnyRole]) -> tuple[AnyRole, ...]:
    """Return the roles, each after those that it needs and those whose outputs it takes.

    Where that leaves a choice, the alphabet decides.
    """
    known = {role.name: role for role in sorted(found, key=lambda role: role.name)}
    done: dict[str, AnyRole] = {}
    way: list[str] = []

    def visit(role: AnyRole) -> None:
        if role.name in way:
            circle = " -> ".join([*way[way.index(role.name) :], role.name])
            raise RegistryError(f"roles take outputs of each other in a circle: {circle}")
        if role.name in done:
            return
        way.append(role.name)
        for name in _before(role, known):
            visit(known[name])
        way.pop()
        done[role.name] = role

    for role in known.values():
        visit(role)
    return tuple(done.values())


def _before(role: AnyRole, known: Mapping[str, AnyRole]) -> list[str]:
    """Name the roles that this one comes after, in the order of the alphabet."""
    named = {*role.settings.needs, *role.settings.uses}
    return [
        name
        for name, other in known.items()
        if name in named or any(_gives(other, kind) for kind in role.takes)
    ]


def _gives(role: AnyRole, kind: type[Outputs]) -> bool:
    return role.gives is not None and issubclass(role.gives, kind)


def _role(module: str, name: str) -> AnyRole:
    """Return the role that a module has as ROLE, under the name of its folder."""
    role = importlib.import_module(module).ROLE
    if not isinstance(role, Role) or role.name != name:
        raise RegistryError(f"{module}: ROLE must be a Role with name={name!r}")
    return role
