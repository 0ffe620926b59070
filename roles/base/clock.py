"""Whether a node's clock is right: by NTP, or else by the clock of the computer that looked."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.node import container
from bramble.snapshot import Snapshot, Unknown


@dataclass(frozen=True)
class Clock:
    """What timedatectl would tell: whether NTP is there, on, and followed; and the time zone."""

    can_ntp: bool
    ntp: bool
    synchronised: bool
    timezone: str


def clock(snapshot: Snapshot) -> Clock | Unknown:
    """Return what timedatectl says of the node's clock."""
    found = snapshot.clock
    if isinstance(found, Unknown):
        return found
    try:
        return Clock(
            can_ntp=found["CanNTP"] == "yes",
            ntp=found["NTP"] == "yes",
            synchronised=found["NTPSynchronized"] == "yes",
            timezone=found["Timezone"],
        )
    except KeyError as error:
        return Unknown(f"the look did not report the clock: {error}")


def behind_s(snapshot: Snapshot) -> int | Unknown:
    """Return how far the node's clock is behind ours (negative: ahead); 0 within the look's duration."""
    if not snapshot.taken_at_s or not snapshot.asked_at_s:
        return Unknown("the time of the look is not known")
    earliest, latest = int(snapshot.asked_at_s), int(snapshot.answered_at_s) + 1
    if snapshot.taken_at_s < earliest:
        return earliest - snapshot.taken_at_s
    return min(latest - snapshot.taken_at_s, 0)


def wrong(snapshot: Snapshot, tolerance_s: int) -> str | Unknown | None:
    """Return why the clock cannot be relied on; None when it follows NTP or is close to ours."""
    own, off_s = clock(snapshot), behind_s(snapshot)
    if not isinstance(own, Unknown) and own.synchronised:
        return None
    if isinstance(off_s, Unknown):
        return own if isinstance(own, Unknown) else off_s
    if abs(off_s) <= tolerance_s:
        return None
    side = "behind" if off_s > 0 else "ahead of"
    return f"not synchronised, and {abs(off_s)} s {side} this computer"


def ntp_is_off(snapshot: Snapshot) -> bool:
    """Tell whether the node has an NTP client that is off; a container has its host's clock."""
    own = clock(snapshot)
    if isinstance(own, Unknown) or container.container(snapshot) is not None:
        return False
    return own.can_ntp and not own.ntp
