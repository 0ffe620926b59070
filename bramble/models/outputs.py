"""What the role of the model gives to those that serve, check and list it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from bramble.models.dims import Dims
from bramble.plan import Outputs
from bramble.prepared import Prepared
from bramble.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class ModelOutputs(Outputs):
    """The planned model: its file on the node, and what is known of it before it is fetched.

    `ssd` is the mount point of the SSD that its folder may lead to; `of_inventory` the sha256 that the
    inventory names, also where the host was rolled back to another model. `dimensions` are the
    model's, `others` those of the other locked models, and `unlocked` its other quants, whose
    dimensions are not known.
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
        """The query of the program prune_models."""
        return {"folder": self.folder, "planned": self.path, "home": self.engine_home}


class ModelFile(Protocol):
    """The one file that a model's settings select."""

    @property
    def sha256(self) -> str:
        """Its sha256."""

    @property
    def fit(self) -> Dims | None:
        """Its dimensions, where they are known."""


@runtime_checkable
class ModelSettings(Protocol):
    """What is asked of the model's settings before they are planned."""

    @property
    def path(self) -> Path | None:
        """The file of this computer that they name."""

    def chosen(self, host: str, prepared: Prepared) -> ModelFile:
        """Return the file that a host serves."""

    def ahead(self, host: str, prepared: Prepared, snapshot: Snapshot) -> Dims | str | None:
        """Return what the node noted of an unknown model, or its address; None where it is known."""
