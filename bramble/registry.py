"""The roles that there are: bramble's, those of installed packages, and those of the person's project.

Each is a Role under the name ROLE: in the module `role` of a folder of `bramble.roles`, where an entry
point of the group `bramble.roles` names it, or in `roles/NAME/role.py` of the project.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bramble import project
from bramble.audit.settings import AuditSettings
from bramble.documents.problems import InventoryError, Problem, unknown
from bramble.plan import NodePlan, Outputs
from bramble.project_roles import load
from bramble.role import Role
from bramble.settings import NodeSettings, Section, SshSettings

AnyRole = Role[Any, Any]

GROUP = "bramble.roles"
"""The entry point group of roles in installed packages, and the package of bramble's own."""

EVERY_HOST: Mapping[str, type[Section]] = {
    "ssh": SshSettings,
    "node": NodeSettings,
    "audit": AuditSettings,
}
"""The sections that belong to no role."""


def roles() -> tuple[AnyRole, ...]:
    """Return every role, in the order in which a node gains them.

    Raise InventoryError with all that is wrong with roles that are not bramble's.
    """
    folder = project.root(project.folder()) / "roles"
    return _all(folder, tuple(sorted(folder.glob("*/role.py"))))


def own() -> tuple[str, ...]:
    """Name the roles that are not bramble's, in their order."""
    return tuple(role.name for role in roles() if role.name not in _shipped())


def role(name: str) -> AnyRole:
    """Return the role of this name; raise LookupError for an unknown one."""
    known = {role.name: role for role in roles()}
    if name not in known:
        raise LookupError(f"there is no role '{name}'; {unknown(name, known)}")
    return known[name]


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


def sections() -> dict[str, type[Section]]:
    """Return the settings sections of a host by name: `ssh`, `node` and one for each role."""
    return {**EVERY_HOST, **{role.name: role.settings for role in roles()}}


def roles_of(settings: Mapping[str, Section]) -> tuple[AnyRole, ...]:
    """Return the roles that a host gets: those that its settings have a section of."""
    return tuple(role for role in roles() if role.name in settings)


def is_bramble(folder: Path) -> bool:
    """Whether a project's folder of roles is bramble's own, as it is in a checkout."""
    return folder.is_dir() and folder.samefile(_folder())


def dependents(name: str) -> tuple[str, ...]:
    """Return the roles that depend on this one, the last first."""
    return tuple(
        role.name
        for role in reversed(roles())
        if name in (*role.settings.needs, *role.settings.uses)
    )


@cache
def _all(folder: Path, files: tuple[Path, ...]) -> tuple[AnyRole, ...]:
    """Return all roles in order, those of a project's folder with these files among them."""
    found = dict(_shipped())
    taken = {*EVERY_HOST, *found}
    installed, problems = _installed(taken)
    found |= installed
    if files and not is_bramble(folder):
        there, wrong = load(files, {*taken, *installed})
        found |= there
        problems += wrong
    problems += _needs(found)
    if problems:
        raise InventoryError(problems)
    return in_order(found.values())


@cache
def _shipped() -> dict[str, AnyRole]:
    """Return the roles that come with bramble."""
    names = sorted(found.name for found in pkgutil.iter_modules([str(_folder())]) if found.ispkg)
    return {name: importlib.import_module(f"{GROUP}.{name}.role").ROLE for name in names}


def _folder() -> Path:
    return Path(importlib.import_module(GROUP).__path__[0])


def _installed(taken: Iterable[str]) -> tuple[dict[str, AnyRole], list[Problem]]:
    """Return the roles of installed packages, and what is wrong with any."""
    found: dict[str, AnyRole] = {}
    problems = []
    for point in entry_points(group=GROUP):
        where = f"package {point.dist.name if point.dist else point.module}"
        try:
            made = point.load()
        except Exception as error:  # noqa: BLE001 - another's code may raise anything
            problems.append(Problem(where, None, f"{point.value}: {type(error).__name__}: {error}"))
            continue
        if not isinstance(made, Role) or made.name != point.name:
            said = f"{point.value} must be a Role with name={point.name!r}"
            problems.append(Problem(where, None, said))
        elif point.name in taken or point.name in found:
            said = f"there is a role '{point.name}' already; give this one another name"
            problems.append(Problem(where, None, said))
        else:
            found[point.name] = made
    return found, problems


def _needs(found: Mapping[str, AnyRole]) -> list[Problem]:
    """Find roles that need one which there is not."""
    return [
        Problem(f"roles/{name}", None, f"needs role '{needed}'; {unknown(needed, found)}")
        for name, role in found.items()
        for needed in role.settings.needs
        if needed not in found
    ]


def in_order(found: Iterable[AnyRole]) -> tuple[AnyRole, ...]:
    """Return the roles, each after those that it needs and those whose outputs it takes.

    Where that leaves a choice, those that are to be last come last, and the alphabet decides.
    """
    known = {role.name: role for role in sorted(found, key=lambda role: (role.last, role.name))}
    done: dict[str, AnyRole] = {}
    way: list[str] = []

    def visit(role: AnyRole) -> None:
        if role.name in way:
            circle = " -> ".join([*way[way.index(role.name) :], role.name])
            said = f"each of these takes something of the next one, in a circle: {circle}"
            raise InventoryError([Problem("roles", None, said)])
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
