"""What an audit's look saw beside the plan, typed; a part that the node did not tell is Unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bramble.snapshot import Unknown, known_part
from bramble.system import around
from bramble.system.around import Holder, Keys, Loose, Origin, Scheduled, Sudo


@dataclass(frozen=True, kw_only=True)
class Around:
    """What is there beside the plan.

    That is units that failed, packages held, processes that hold listening sockets by number, users
    with the number 0, keys that open accounts, files that others may write to, lines of cron and timers
    that name what is ours; and of files who changed them, as far as the file system and sudo tell.
    """

    failed: tuple[str, ...] | Unknown
    held: tuple[str, ...] | Unknown
    holders: Mapping[str, Holder] | Unknown
    roots: tuple[str, ...] | Unknown
    keys: tuple[Keys, ...] | Unknown
    loose: Loose | Unknown
    scheduled: tuple[Scheduled, ...] | Unknown
    origins: Mapping[str, Origin] | Unknown
    sudo: Sudo | Unknown


def read(beside: Mapping[str, Any]) -> Around:
    """Parse what `bramble/remote/audit.py` printed of each part."""
    known = partial(known_part, beside)
    return Around(
        failed=known("failed", around.names, tuple[str, ...]),
        held=known("held", around.names, tuple[str, ...]),
        holders=known("holders", around.holders, Mapping[str, Holder]),
        roots=known("roots", around.names, tuple[str, ...]),
        keys=known("keys", around.keys, tuple[Keys, ...]),
        loose=known("loose", around.loose, Loose),
        scheduled=known("scheduled", around.scheduled, tuple[Scheduled, ...]),
        origins=known("origins", around.origins, Mapping[str, Origin]),
        sudo=known("sudo", around.sudo, Sudo),
    )
