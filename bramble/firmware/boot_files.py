"""The two files of the boot partition that roles edit, and the step that edits one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from bramble.difference import Difference
from bramble.plan import Outputs
from bramble.steps import Step

FIRMWARE = "/boot/firmware"
CONFIG = f"{FIRMWARE}/config.txt"
# In /run, so that the next boot forgets that config.txt was changed in this one.
CONFIG_STAMP = "/run/bramble/reboot/config.txt"


@dataclass(frozen=True, kw_only=True)
class AtBoot(Outputs):
    """What takes effect at the next boot: roles that give it run before the role that reboots.

    `config` holds values for config.txt, which that role writes.
    """

    config: Mapping[str, str] = field(default_factory=dict)


def edit(name: str, why: str, path: str, before: str, after: str, stamp: str | None = None) -> Step:
    """Replace a file's text, where it is still the one that was looked at."""
    was = hashlib.sha256(before.encode()).hexdigest()
    query = {"path": path, "was_sha256": was, "text": after, "stamp": stamp}
    return Step(name, why, "edit_boot", query, diffs=(Difference(path, before, after),))
