"""Which disk is the SSD, and why not: pure decisions from one look."""

from __future__ import annotations

from dataclasses import dataclass

FSTAB = "/etc/fstab"
BY_ID = "/dev/disk/by-id"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The settings of `storage.ssd`, as a plan holds them."""

    device: str
    mount: str
    erase: str | None
    required: bool | None
    least_gib: int
    free_gib: int
    device_timeout_s: int
