"""Where a build works and what compilers remember: on a usable SSD, else on the card."""

from __future__ import annotations

from typing import Any

from bramble.node import ssd
from bramble.snapshot import Snapshot, Unknown

CCACHE = "/var/cache/bramble/ccache"


def place(mount: str | None, home: str, look: Snapshot) -> dict[str, Any]:
    """Return the build's folders, and with an SSD those on the card that are to be removed.

    A folder that is a mount point of its own was placed by a person, and stays.
    """
    card = {"work": f"{home}/work", "ccache": CCACHE}
    if ssd.unusable(mount, look) or isinstance(look.mounts, Unknown):
        return card
    theirs = {found.target for found in look.mounts}
    moved = {key: path for key, path in card.items() if path not in theirs}
    here = {key: f"{mount}/bramble/{key}" for key in moved}
    return card | here | {"old": list(moved.values())}
