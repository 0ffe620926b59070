"""Who gives a file to whom: decisions over the names of hosts, taken one at a time as hosts ask.

One host reads the origin; each further one takes from the last that has nobody to give to, which passes
on while it still receives. So the file goes through the fleet as through a chain, every link carries it
once in and once out, and all have it about when the first has. Of a file whose size nobody knows only
what is whole is passed on: then those that have it double with each turn.

Radios share one air: hosts on Wi-Fi come one after another, and give only where nobody on a wire does.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

MOST_GIVERS = 3
# Whoever reaches so many of the others not will reach none.
MOST_TRIED = 4
# An origin that gave so many hosts nothing gives others little time, and at last no more of them.
PATIENT_READERS = 2
MOST_READERS = 5


@dataclass
class Member:
    """A host that needs the file, takes it now (from `source`, None: the origin), or has it."""

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
        """Whoever ranks first reads the origin: on a wire, and with most of the file there already."""
        return self.wireless, -self.there_bytes


@dataclass(frozen=True)
class From:
    """Take it from this host, or from the next of those whom it takes it from itself."""

    givers: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Read it from where it comes from, for all that need it; a brief one soon gives up."""

    brief: bool = False


@dataclass(frozen=True)
class Refused:
    """Nobody can have it."""

    why: str


@dataclass
class Swarm:
    """All hosts of a run that have one file or need it."""

    members: dict[str, Member] = field(default_factory=dict)
    gone: Collection[str] = ()
    unread: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, member: Member) -> None:
        """A host that will need the file, or has it."""
        self.members.setdefault(member.name, member)

    def choose(
        self, name: str, tried: Collection[str], *, patient: bool
    ) -> From | Origin | Refused | None:
        """Where a host takes the file from now; None to ask again later.

        A patient one leaves the origin to those that rank before it and did not ask yet.
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
                # The first of those that have it, else the end of the shortest chain.
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
        """What came of a host's turn."""
        with self.lock:
            self.members[name].state, self.members[name].source = state, None

    def needs_more(self, name: str = "") -> list[str]:
        """The hosts, but for this one, that are still to have the file."""
        me = self.members.get(name)
        return [m.name for m in self._others(me) if m.state in ("needs", "takes")]

    def _others(self, me: Member | None) -> Iterator[Member]:
        """The other members that take part."""
        for member in list(self.members.values()):
            if member is not me and member.state != "out" and member.name not in self.gone:
                yield member

    def _givers(self, me: Member) -> list[Member]:
        """Those that can give, now or later, and do not take it from this very host."""
        can = [m for m in self._others(me) if m.passes and m.state in ("has", "takes")]
        return [m for m in can if me not in self._above(m)]

    def _is_free(self, giver: Member, taker: Member) -> bool:
        """Whether it has something to give, and nobody of this kind takes from it."""
        takers = [m for m in self._others(giver) if m.source == giver.name]
        taken = any(m.wireless == taker.wireless for m in takers)
        return not taken and (giver.state == "has" or giver.sized)

    def _above(self, member: Member) -> Iterator[Member]:
        """A member, whom it takes from, whom that one takes from, up to the origin."""
        seen = 0
        above: Member | None = member
        while above is not None and seen <= len(self.members):
            yield above
            seen += 1
            above = self.members.get(above.source) if above.source else None
