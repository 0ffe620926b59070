"""The wanted state of a node: what `plan(settings, board)` of each role decides, and nothing else does.

A role's `plan.py` has four pure functions:

    interests(settings)                -> Interests  what the one look at the node must see
    plan(settings, board, given)       -> a RolePlan with everything that the role wants
    steps(plan, node, snapshot)        -> what to do about the difference, always as many, in order
    revert(plan, node, snapshot)       -> what takes back all that the role set, and leaves data alone
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from bramble.board import Board
from bramble.settings import Section
from bramble.snapshot import Snapshot

HASH_LIMIT_BYTES = 64 * 1024 * 1024
"""Files up to this size are hashed at every look; larger ones are known by their stamps."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A whole file that bramble owns on a node. A secret's text appears nowhere but in the file."""

    path: str
    # Kept out of what errors and logs may show of a file, as it may be a secret.
    text: str = field(repr=False)
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False

    @property
    def sha256(self) -> str:
        """The sha256 of the text, as hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Interests:
    """What one look at a node must see for a role; paths may be patterns with * and ?.

    `commands` are run at every look, as root: they must be quick and change nothing. `properties` are
    what to ask of each unit besides its state, and `programs` names of which all processes are told.
    """

    files: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    http: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def together(parts: Iterable[Interests]) -> Interests:
    """What one look must see for all of these."""
    several = tuple(parts)
    named = {
        item.name: tuple(_union(getattr(part, item.name) for part in several))
        for item in fields(Interests)
    }
    return Interests(**named)


@dataclass(frozen=True, kw_only=True)
class RolePlan:
    """What every role's plan has; a role adds fields of its own.

    `provides` tells later roles what they may rely on, by names such as `engine.release`.
    """

    packages: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    provides: Mapping[str, str] = field(default_factory=dict)

    def waits_for_reboot(self, snapshot: Snapshot) -> tuple[str, ...]:
        """What of this role takes hold at the next boot only, told by effects; boot reboots for it."""
        return ()

    def refusals(self) -> tuple[str, ...]:
        """Why this plan cannot work on its board, each a sentence that says what to do."""
        return ()

    def warnings(self) -> tuple[str, ...]:
        """What is done as planned and hardly meant so, or cannot be told, each a sentence."""
        return ()


Given = Mapping[str, str]
"""What the roles before this one provide."""

P = TypeVar("P", bound=RolePlan)


@dataclass(frozen=True)
class NodePlan:
    """The whole wanted state of one node, by role."""

    host: str
    board: Board
    roles: Mapping[str, RolePlan]
    pins: tuple[str, ...] = ()
    """What of it engine.lock has decided in the place of the inventory, in words."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages of all roles, each once, sorted."""
        return tuple(sorted({name for plan in self.roles.values() for name in plan.packages}))

    @property
    def provided(self) -> dict[str, str]:
        """What the roles say of themselves, all of it."""
        return {key: value for plan in self.roles.values() for key, value in plan.provides.items()}

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why a deploy leaves the node alone: what its plan itself shows to be impossible."""
        return tuple(why for plan in self.roles.values() for why in plan.refusals())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a deploy tells before it goes on."""
        return tuple(why for plan in self.roles.values() for why in plan.warnings())


def make(
    host: str, settings: Mapping[str, Section], board: Board, roles: Sequence[Any]
) -> NodePlan:
    """The plan of a node: each role's in order, each given what those before it provide."""
    plans: dict[str, RolePlan] = {}
    given: dict[str, str] = {"node.name": host}
    for role in roles:
        plans[role.name] = role.plan.plan(settings[role.name], board, dict(given))
        given |= plans[role.name].provides
    pins = (pinned.sentence for part in settings.values() for pinned in part.pins(host))
    return NodePlan(host, board, plans, tuple(pins))


def look_at(settings: Mapping[str, Section], roles: Sequence[Any]) -> dict[str, Any]:
    """The probe's query: all that any role wants to see, in one look."""
    wanted = [role.plan.interests(settings[role.name]) for role in roles]
    query: dict[str, Any] = {
        part.name: _union(getattr(interests, part.name) for interests in wanted)
        for part in fields(Interests)
    }
    return query | {"hash_limit_bytes": HASH_LIMIT_BYTES}


def _union(parts: Iterable[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))


def identity(value: Any) -> str:
    """Twelve hexadecimal digits that stand for a JSON value: the same value, the same digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
