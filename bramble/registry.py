"""The roles that this checkout has, found by name so that the engine needs to know none of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from bramble.settings import Node, Section, Ssh


@dataclass(frozen=True)
class Role:
    """One role's modules; `apply` is not among them, as only deploys import what needs pyinfra."""

    name: str
    settings: type[Section]
    plan: ModuleType
    checks: ModuleType


@cache
def roles() -> tuple[Role, ...]:
    """Every role, in the order in which a node gains them."""
    names: tuple[str, ...] = importlib.import_module("bramble.roles").ROLES
    return tuple(_role(name) for name in names)


@cache
def sections() -> dict[str, type[Section]]:
    """The settings sections of a host by name: `ssh`, `node` and one for each role."""
    everyone: dict[str, type[Section]] = {"ssh": Ssh, "node": Node}
    return everyone | {role.name: role.settings for role in roles()}


def roles_of(settings: Mapping[str, Section]) -> tuple[Role, ...]:
    """The roles that a host gets: those that its settings have a section of."""
    return tuple(role for role in roles() if role.name in settings)


def dependents(name: str) -> tuple[str, ...]:
    """The roles that stand on this one, the last first."""
    return tuple(
        role.name
        for role in reversed(roles())
        if name in (*role.settings.needs, *role.settings.uses)
    )


def _role(name: str) -> Role:
    settings = importlib.import_module(f"bramble.roles.{name}.settings").Settings
    plan = importlib.import_module(f"bramble.roles.{name}.plan")
    checks = importlib.import_module(f"bramble.roles.{name}.checks")
    return Role(name, settings, plan, checks)
