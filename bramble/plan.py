"""The desired state of a node, which `plan(settings, board, inputs)` of each role alone decides.

A role's `plan.py` has four pure functions:

    facts_needed(settings, inputs) -> FactsNeeded  what the one look at the node must see
    plan(settings, board, inputs)  -> a RolePlan with everything that the role wants
    steps(plan, node, snapshot)    -> what to do about the difference, always as many, in order
    revert(plan, node, snapshot)   -> what reverts all that the role set, and leaves data alone
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

from bramble.board import Board
from bramble.prepared import Prepared, prepared_sections
from bramble.settings import Section
from bramble.snapshot import Snapshot

HASH_LIMIT_BYTES = 64 * 1024 * 1024
"""Files up to this size are hashed at every look; larger ones are known by their stamps."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A whole file that bramble owns on a node. A secret's text appears nowhere but in the file.

    One that is not `everywhere` is left out where a step sees no use for it on a node.
    """

    path: str
    # Not in the repr that errors and logs may show, as it may be a secret.
    text: str = field(repr=False)
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False
    everywhere: bool = True

    @property
    def sha256(self) -> str:
        """The sha256 of the text, as hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class FactsNeeded:
    """What one look at a node must see for a role; paths may be patterns with * and ?.

    `commands` are run at every look, as root: they must be quick and change nothing. `properties` are
    what to ask of each unit besides its state, and `programs` names of which all processes are told.
    An audit alone asks for `folders`, which are searched for what others may write to, and for `words`
    that lines of cron and timers are searched for.
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
    folders: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def together(parts: Iterable[FactsNeeded]) -> FactsNeeded:
    """Return the union of several roles' facts."""
    several = tuple(parts)
    named = {
        item.name: tuple(_union(getattr(part, item.name) for part in several))
        for item in fields(FactsNeeded)
    }
    return FactsNeeded(**named)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a role gives to later ones: each role that gives something has its own subclass."""


Kind = TypeVar("Kind", bound=Outputs)


@dataclass(frozen=True)
class Inputs:
    """What a role's plan is made from besides its settings and the board.

    That is the host's name, the outputs of earlier roles by their kinds (those that the role `takes`,
    or any where that is None), and what was read beside the settings. Before a look there are no
    outputs yet.
    """

    host: str = ""
    outputs: tuple[Outputs, ...] = ()
    takes: tuple[type[Outputs], ...] | None = None
    prepared: Prepared = field(default_factory=Prepared)

    def every(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """Return the outputs of this kind, in the order of the roles that gave them."""
        if self.takes is not None and kind not in self.takes:
            raise TypeError(f"a role that reads {kind.__name__} names it in its `takes`")
        return tuple(found for found in self.outputs if isinstance(found, kind))

    def find(self, kind: type[Kind]) -> Kind | None:
        """Return the outputs of this kind, None where no role of the host gave them."""
        return next(iter(self.every(kind)), None)

    def need(self, kind: type[Kind]) -> Kind:
        """Return the outputs of this kind; raise LookupError where no role of the host gave them."""
        found = self.find(kind)
        if found is None:
            raise LookupError(f"no role of {self.host} gives {kind.__name__}")
        return found


@dataclass(frozen=True)
class Listener:
    """What is to listen on the network: the unit, and the port."""

    unit: str
    port: int


@dataclass(frozen=True)
class Stranger:
    """What is there that a role does not plan but that bears on it; `path` is the file that makes it."""

    kind: str
    subject: str
    got: str
    remedy: str
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class RolePlan:
    """What every role's plan has; a role adds fields of its own."""

    packages: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    outputs: Outputs | None = None

    def waits_for_reboot(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Name what of this role takes effect only at the next boot; role boot reboots for it."""
        return ()

    def refusals(self) -> tuple[str, ...]:
        """Return why this plan cannot work on its board, each a sentence that says what to do."""
        return ()

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each setting that is probably not meant or cannot be judged."""
        return ()

    def listeners(self) -> tuple[Listener, ...]:
        """Return what of this role listens for others than the node itself; only an audit asks."""
        return ()

    def known_keys(self) -> tuple[str, ...]:
        """Return the public keys that may open accounts of the node; only an audit asks."""
        return ()


class Planner(Protocol):
    """What of a role makes its part of a node's plan."""

    @property
    def name(self) -> str:
        """Its name, which its settings section has too."""

    @property
    def takes(self) -> tuple[type[Outputs], ...]:
        """The kinds of outputs that it reads."""

    @property
    def facts_needed(self) -> Callable[[Any, Inputs], FactsNeeded]:
        """What the one look must see."""

    @property
    def plan(self) -> Callable[[Any, Board, Inputs], RolePlan]:
        """Decide what it wants."""


@dataclass(frozen=True)
class NodePlan:
    """The whole wanted state of one node, by role."""

    host: str
    board: Board
    roles: Mapping[str, RolePlan]
    pins: tuple[str, ...] = ()
    """A sentence for each setting that engine.lock overrides."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The Debian packages of all roles, each once, sorted."""
        return tuple(sorted({name for plan in self.roles.values() for name in plan.packages}))

    @property
    def outputs(self) -> Inputs:
        """What the roles give, by its kind."""
        given = (plan.outputs for plan in self.roles.values())
        return Inputs(self.host, tuple(found for found in given if found is not None))

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why a deploy leaves the node alone: what its plan itself shows to be impossible."""
        return tuple(why for plan in self.roles.values() for why in plan.refusals())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a deploy tells before it continues."""
        return tuple(why for plan in self.roles.values() for why in plan.warnings())


def make(
    host: str,
    settings: Mapping[str, Section],
    board: Board,
    roles: Sequence[Planner],
    prepared: Prepared | None = None,
) -> NodePlan:
    """Make the plan of a node: each role's in order, from what those before it give."""
    beside = prepared or Prepared()
    plans: dict[str, RolePlan] = {}
    given: tuple[Outputs, ...] = ()
    for role in roles:
        made = role.plan(settings[role.name], board, Inputs(host, given, role.takes, beside))
        plans[role.name] = made
        given += (made.outputs,) if made.outputs else ()
    pins = (
        pinned.sentence
        for part in prepared_sections(settings).values()
        for pinned in part.pins(host, beside)
    )
    return NodePlan(host, board, plans, tuple(pins))


def look_at(
    host: str,
    settings: Mapping[str, Section],
    roles: Sequence[Planner],
    prepared: Prepared | None = None,
    more: FactsNeeded | None = None,
) -> dict[str, Any]:
    """Return the probe's query: all that any role wants to see, and `more`, in one look."""
    inputs = Inputs(host, prepared=prepared or Prepared())
    wanted = [role.facts_needed(settings[role.name], inputs) for role in roles]
    wanted += [more] if more else []
    query: dict[str, Any] = {
        part.name: _union(getattr(facts_needed, part.name) for facts_needed in wanted)
        for part in fields(FactsNeeded)
    }
    return query | {"hash_limit_bytes": HASH_LIMIT_BYTES}


def _union(parts: Iterable[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))


def identity(value: Any) -> str:
    """Return a JSON value's hash in twelve hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
