"""What boot gives to the roles that come after its reboot."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.plan import Outputs


@dataclass(frozen=True, kw_only=True)
class BootOutputs(Outputs):
    """The node runs with what its firmware and its kernel are told at boot."""
