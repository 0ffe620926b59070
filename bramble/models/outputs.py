"""What the role that brings a model gives to those that serve, judge and list it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bramble.fit.dims import Dims
from bramble.plan import Outputs
from bramble.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class ModelOutputs(Outputs):
    """The planned model: its file on the node, and what is known of it before it is fetched.

    `ssd` is where the SSD is mounted that its folder may lead to; `of_inventory` is the sha256 that
    the inventory names, also where the host went back to another model. `dimensions` are its own,
    `others` those of what else is locked, and `unlocked` its other quants of which none are known.
    """

    name: str
    sha256: str
    of_inventory: str
    path: str
    folder: str
    ssd: str | None
    engine_home: str | None
    when_too_large: Literal["refuse", "warn"]
    dimensions: Dims | None = None
    others: Mapping[str, Dims] = field(default_factory=dict)
    unlocked: tuple[str, ...] = ()

    @property
    def housekeeping(self) -> dict[str, str | None]:
        """What the program prune_models goes by."""
        return {"folder": self.folder, "planned": self.path, "home": self.engine_home}


class ModelFile(Protocol):
    """The one file that a model's settings mean."""

    @property
    def sha256(self) -> str:
        """What it must be."""


class ModelSettings(Protocol):
    """What is asked of the settings of the role that brings a model before it is planned."""

    @property
    def pin(self) -> ModelFile:
        """The file that they mean."""

    def ahead(self, snapshot: Snapshot) -> Dims | str | None:
        """Return what the node noted of an unknown model, or its address; None where it is known."""

    def known(self, dimensions: Dims) -> ModelSettings:
        """Return the same settings with what the file's header says of it."""
