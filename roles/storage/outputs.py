"""What storage gives to the roles that put something large on a disk."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.firmware.boot_files import AtBoot


@dataclass(frozen=True, kw_only=True)
class StorageOutputs(AtBoot):
    """Where an SSD is mounted if the node has one, None where it is off; writers ask the node first."""

    ssd: str | None
