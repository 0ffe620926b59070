"""What base gives to every other role."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.plan import Outputs


@dataclass(frozen=True, kw_only=True)
class BaseOutputs(Outputs):
    """The node as base leaves it: the packages of all roles are installed, and its clock is right."""
