"""The two files of the boot partition that roles edit, and the step that edits one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from bramble.plan import Outputs
from bramble.steps import Step, diff

FIRMWARE = "/boot/firmware"
CONFIG = f"{FIRMWARE}/config.txt"
# In memory: that config.txt was changed in this boot is forgotten by the next one.
CONFIG_STAMP = "/run/bramble/reboot/config.txt"


@dataclass(frozen=True, kw_only=True)
class AtBoot(Outputs):
    """What the next boot goes by: who gives it comes before the role that reboots.

    `config` are values for config.txt, which that role writes there.
    """

    config: Mapping[str, str] = field(default_factory=dict)


def edit(name: str, why: str, path: str, before: str, after: str, stamp: str | None = None) -> Step:
    """Put one text in the place of another, where that one still stands."""
    was = hashlib.sha256(before.encode()).hexdigest()
    query = {"path": path, "was_sha256": was, "text": after, "stamp": stamp}
    return Step(name, why, "edit_boot", query, diffs=(diff(path, before, after),))
