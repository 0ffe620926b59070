"""Which host takes a file from which: decisions over host names, one at a time as hosts ask.

One host downloads from the origin; each further one takes the file from the last that serves nobody
yet, which serves while it still downloads. So the file goes through the fleet as through a chain,
every link carries it once in and once out, and all hosts have it at about the time of the first. A
file of unknown size is served only once it is whole: then the hosts that have it double each turn.

Radios share one channel: hosts on Wi-Fi take turns, and serve only where no wired host does.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

MOST_GIVERS = 3
# A host that failed to reach so many others will not reach any.
MOST_TRIED = 4
# After so many hosts failed at the origin, others get little time there, and at last none.
PATIENT_READERS = 2
MOST_READERS = 5


@dataclass
class Member:
    """A host that needs the file, takes it now (from `source`; None: the origin), or has it."""

    name: str
    wireless: bool
    there_bytes: int
    sized: bool
    state: Literal["needs", "takes", "has", "out"]
    source: str | None = None
    url: str | None = None
    passes: bool = True

    @property
    def rank(self) -> tuple[bool, int]:
        """The sort key for reading the origin: wired hosts first, then those with most of the file."""
        return self.wireless, -self.there_bytes


@dataclass(frozen=True)
class From:
    """Take it from the first of these hosts, or from the next where that fails."""

    givers: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Download it from the origin on behalf of all; a brief attempt gives up soon."""

    brief: bool = False


@dataclass(frozen=True)
class Refused:
    """Nobody can get it."""

    why: str


@dataclass
class Swarm:
    """All hosts of a run that have one file or need it."""

    members: dict[str, Member] = field(default_factory=dict)
    gone: Collection[str] = ()
    unread: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, member: Member) -> None:
        """Register a host that will need the file, or has it."""
        self.members.setdefault(member.name, member)

    def choose(
        self, name: str, tried: Collection[str], *, patient: bool
    ) -> From | Origin | Refused | None:
        """Choose where a host takes the file from now; return None to ask again later.

        A patient host leaves the origin to those that rank before it and have not asked yet.
        """
        with self.lock:
            me = self.members[name]
            if me.wireless and any(m.wireless and m.state == "takes" for m in self._others(me)):
                return None
            alone = len(tried) >= MOST_TRIED
            givers = [m for m in self._givers(me) if not alone and m.name not in tried]
            givers = [m for m in givers if not m.wireless] or givers
            free = [m for m in givers if self._is_free(m, me)]
            if free:
                # A host that has it, else the end of the shortest chain.
                best = min(free, key=lambda m: (m.state != "has", len(list(self._above(m)))))
                me.state, me.source = "takes", best.name
                above = [m for m in self._above(best) if m in [best, *givers]]
                return From(tuple(m.name for m in above[:MOST_GIVERS]))
            if givers:
                return None
            if len(self.unread) >= MOST_READERS:
                names, why = ", ".join(self.unread), list(self.unread.values())[-1]
                return Refused(f"{names} could not have it, so it is not tried once more: {why}")
            if patient and any(m.state == "needs" and m.rank < me.rank for m in self._others(me)):
                return None
            me.state, me.source = "takes", None
            return Origin(brief=len(self.unread) >= PATIENT_READERS)

    def settle(self, name: str, state: Literal["needs", "has", "out"]) -> None:
        """Record the result of a host's turn."""
        with self.lock:
            self.members[name].state, self.members[name].source = state, None

    def needs_more(self, name: str = "") -> list[str]:
        """Return the other hosts that still need the file."""
        me = self.members.get(name)
        return [m.name for m in self._others(me) if m.state in ("needs", "takes")]

    def _others(self, me: Member | None) -> Iterator[Member]:
        """Yield the other members that take part."""
        for member in list(self.members.values()):
            if member is not me and member.state != "out" and member.name not in self.gone:
                yield member

    def _givers(self, me: Member) -> list[Member]:
        """Return the hosts that can serve, now or later, and do not depend on this one."""
        can = [m for m in self._others(me) if m.passes and m.state in ("has", "takes")]
        return [m for m in can if me not in self._above(m)]

    def _is_free(self, giver: Member, taker: Member) -> bool:
        """Return whether a host has something to serve, and serves nobody on such a link yet."""
        takers = [m for m in self._others(giver) if m.source == giver.name]
        taken = any(m.wireless == taker.wireless for m in takers)
        return not taken and (giver.state == "has" or giver.sized)

    def _above(self, member: Member) -> Iterator[Member]:
        """Yield a member, the one that it takes from, and so on up to the origin."""
        seen = 0
        above: Member | None = member
        while above is not None and seen <= len(self.members):
            yield above
            seen += 1
            above = self.members.get(above.source) if above.source else None
