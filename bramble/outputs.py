"""What the roles that serve a model give to others, and what is asked of the settings of roles.

These stand outside of the roles because commands, benchmarks and the fit ask for them by their type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from bramble.board import Board
from bramble.llama.releases import Home
from bramble.models.dims import Dims
from bramble.models.projector import Projector
from bramble.plan import Outputs
from bramble.prepared import Prepared
from bramble.snapshot import Snapshot
from bramble.steps import Upload


@dataclass(frozen=True, kw_only=True)
class EngineOutputs(Outputs):
    """The planned release of llama.cpp: its identity, its folder, and the processor it is built for."""

    home: Home
    release: str
    build_info: str
    soc: str

    @property
    def folder(self) -> str:
        """The release's own folder."""
        return self.home.release(self.release)

    @property
    def commit(self) -> str:
        """The first digits of the commit that it is built of."""
        return self.build_info.rpartition("-")[2]


@dataclass(frozen=True, kw_only=True)
class ServingOutputs(Outputs):
    """The service that answers, its computing parameters, and the port and networks of its clients.

    `exposed_port` is None where the model is for the node itself alone; else `figures` is the socket at
    which the way in tells the node what clients ask, of whom `queue` may wait.
    """

    unit: str
    threads: int
    ubatch_tokens: int
    exposed_port: int | None = None
    allow: tuple[str, ...] = ()
    figures: str | None = None
    queue: int = 0


@dataclass(frozen=True, kw_only=True)
class GatewayOutputs(Outputs):
    """The port and networks of a gateway's clients, and where it tells the host what they ask.

    `pools` are the models that the same nodes serve, by HAProxy's names for them; `queue` may wait for
    each.
    """

    exposed_port: int
    allow: tuple[str, ...]
    figures: str
    queue: int
    pools: Mapping[str, tuple[str, ...]]


class Total(Protocol):
    """How much memory a model takes in all."""

    @property
    def total_mib(self) -> int:
        """Weights, context and the server itself."""


class Fitted(Protocol):
    """What was counted of a model before it was fetched."""

    @property
    def answer(self) -> Total:
        """The count."""


@runtime_checkable
class Served(Protocol):
    """A plan of a service that answers, as those see it who watch it."""

    @property
    def url(self) -> str:
        """Its address as the node itself reaches it."""

    @property
    def build_info(self) -> str:
        """What /props tells of the planned build."""

    @property
    def question(self) -> str:
        """What it is asked."""

    @property
    def expect(self) -> str | None:
        """A part of the right answer; None where any will do."""

    @property
    def fit(self) -> Fitted | None:
        """Its memory as it was counted; None where the model was not known."""


@runtime_checkable
class SystemSettings(Protocol):
    """What the first boot of a card asks of the settings of the system itself."""

    @property
    def hostname(self) -> str | None:
        """The node's name; None: as it is."""

    @property
    def timezone(self) -> str | None:
        """Its time zone; None: as it is."""

    @property
    def authorized_keys(self) -> tuple[str, ...]:
        """The public keys that open the account."""

    @property
    def clock_tolerance_s(self) -> int:
        """How far its clock may be off this computer's."""

    @property
    def passwordless_sudo(self) -> bool | None:
        """Whether sudo asks that account for no password; None: as it is."""


@runtime_checkable
class EngineSettings(Protocol):
    """What a race, a build on this computer and other roles ask of an engine's settings."""

    def commit(self, host: str, prepared: Prepared) -> str:
        """Return the commit that a host runs, or its first digits."""

    @property
    def recipe(self) -> str:
        """Where releases are compiled: `native` or `cross`."""

    @property
    def from_archive(self) -> bool:
        """Whether releases are built from an archive, which holds one commit."""

    def worth_a_race(self, board: Board) -> tuple[str, ...]:
        """Name the variants that may be faster than plain on this board."""


@dataclass(frozen=True)
class LedPool:
    """Nodes that a gateway leads to for the same models, with their slots; HAProxy's name for them."""

    name: str
    models: tuple[str, ...]
    slots: Mapping[str, int]


@runtime_checkable
class GatewaySettings(Protocol):
    """What is told to clients of a gateway and asked of it by commands; what deploys take out of it."""

    @property
    def expose(self) -> Literal["lan", "tls"]:
        """How they reach it."""

    def url(self, name: str) -> str:
        """Return its address, on a host that is reached by `name`."""

    @property
    def client(self) -> str:
        """Its name in keys.lock, as nodes know it."""

    @property
    def queue(self) -> int:
        """How many requests may wait for the same models."""

    def behind(self, prepared: Prepared) -> tuple[str, ...]:
        """Return the hosts that answer."""

    def names(self, prepared: Prepared) -> tuple[str, ...]:
        """Return the names that they may ask for, the default model first."""

    def led(self, prepared: Prepared) -> tuple[LedPool, ...]:
        """Return the nodes that it leads to."""


@runtime_checkable
class ListeningSettings(Protocol):
    """What is asked of the settings of a role that listens on ports of the node."""

    @property
    def own_ports(self) -> Mapping[str, int]:
        """Its TCP ports, by the settings that say them."""


class Buildable(Protocol):
    """A planned release that this computer can build."""

    @property
    def release(self) -> str:
        """The release's identity."""

    @property
    def soc(self) -> str:
        """The processor that it is built for."""

    @property
    def uploads(self) -> Sequence[Upload]:
        """The files of this computer that the build needs."""

    @property
    def refusal(self) -> str | None:
        """Why it is not built; None where it may be."""

    def build(self) -> Mapping[str, Any]:
        """Return the query of the program build_engine, without its working folders."""


@dataclass(frozen=True)
class FurtherModel:
    """A model that a node has beside its first one."""

    name: str
    use: str
    sha256: str
    path: str
    dimensions: Dims | None = None
    projector: Projector | None = None


@dataclass(frozen=True, kw_only=True)
class ModelOutputs(Outputs):
    """The planned model: its file on the node, and what is known of it before it is fetched.

    `ssd` is the mount point of the SSD that its folder may lead to; `of_inventory` the sha256 that the
    inventory names, also where the host was rolled back to another model. `dimensions` are the
    model's, `others` those of the other locked models, and `unlocked` its other quants, whose
    dimensions are not known. `further` are the models that are served beside it, `draft` is the one that
    guesses for it, and `projector` the file that makes tokens of images for it.
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
    further: tuple[FurtherModel, ...] = ()
    draft: FurtherModel | None = None
    projector: FurtherModel | None = None

    @property
    def every(self) -> tuple[ModelOutputs | FurtherModel, ...]:
        """All models that the node serves, the first one first."""
        return (self, *self.further)

    @property
    def helpers(self) -> tuple[FurtherModel, ...]:
        """The files that help the first model, and are served to nobody by a name."""
        return tuple(one for one in (self.draft, self.projector) if one)

    @property
    def housekeeping(self) -> dict[str, Any]:
        """The query of the program prune_models."""
        planned = [one.path for one in (*self.every, *self.helpers)]
        return {"folder": self.folder, "planned": planned, "home": self.engine_home}


class ModelFile(Protocol):
    """A file that a model's settings select."""

    @property
    def name(self) -> str:
        """The name by which clients ask for it."""

    @property
    def sha256(self) -> str:
        """Its sha256."""

    @property
    def fit(self) -> Dims | None:
        """Its dimensions, where they are known."""

    @property
    def projector(self) -> Projector | None:
        """The same of a projector for images."""

    @property
    def use(self) -> str | None:
        """Its name in models.yml, where it has one."""


@runtime_checkable
class ModelSettings(Protocol):
    """What is asked of the model's settings before they are planned."""

    @property
    def path(self) -> Path | None:
        """The file of this computer that they name."""

    @property
    def also(self) -> tuple[str, ...]:
        """The names of models.yml that a host serves beside the first model."""

    @property
    def draft(self) -> str | None:
        """The name of the model that guesses for the first one."""

    def chosen(self, host: str, prepared: Prepared) -> ModelFile:
        """Return the file that a host serves, the first where it serves several."""

    def further(self, host: str, prepared: Prepared) -> Sequence[ModelFile]:
        """Return the files that it serves besides."""

    def drafting(self, host: str, prepared: Prepared) -> ModelFile | None:
        """Return the file of the model that guesses for the first one."""

    def seeing(self, host: str, prepared: Prepared) -> ModelFile | None:
        """Return the file that makes tokens of images for the first one."""

    def ahead(self, host: str, prepared: Prepared, snapshot: Snapshot) -> Dims | str | None:
        """Return what the node noted of an unknown model, or its address; None where it is known."""
