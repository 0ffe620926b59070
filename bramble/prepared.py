"""What is read beside an inventory's settings: its locks, its catalogue, and the headers of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from bramble import secret_sources
from bramble.access.keys import Client
from bramble.documents.problems import Keys, Problem, dotted
from bramble.llama.lock import Held, Lock, ReleasePin
from bramble.models.catalogue import Place
from bramble.models.dims import Dims
from bramble.models.lock import Locked
from bramble.secret_sources import Read
from bramble.settings import Section


@dataclass(frozen=True)
class LocalModel:
    """A model file of this computer; one without dimensions could not be read as a model."""

    size_bytes: int
    dims: Dims | None


@dataclass(frozen=True)
class Prepared:
    """What plans depend on besides settings and boards; `bramble.fleet.prepare` reads it once.

    `headers` are dimensions by sha256 of models that were read where a node would fetch them from.
    `secret` reads a secret of this computer at the moment when a plan needs it.
    `problems` are those of engine.lock. What is wrong with models.lock or models.yml counts only for a
    host that uses one of their names: `models_error` and `catalogue_error`; what is wrong with keys.lock
    for one that clients may use: `clients_error`. `clients` are those with a key. `certificates` are PEM
    texts by host, each with its private key, and `authority` the certificate of the fleet's own. `hosts`
    are the settings of all hosts of the inventory, for what one host has to do with others.
    """

    engine: Lock = field(default_factory=Lock)
    models: Mapping[str, Locked] = field(default_factory=dict)
    catalogue: Mapping[str, Place] = field(default_factory=dict)
    files: Mapping[Path, LocalModel] = field(default_factory=dict)
    headers: Mapping[str, Dims] = field(default_factory=dict)
    secret: Read = secret_sources.read
    problems: tuple[Problem, ...] = ()
    models_error: str | None = None
    catalogue_error: str | None = None
    clients: Mapping[str, Client] = field(default_factory=dict)
    clients_error: str | None = None
    certificates: Mapping[str, str] = field(default_factory=dict, repr=False)
    authority: str | None = None
    hosts: Mapping[str, Mapping[str, Section]] = field(default_factory=dict, repr=False)

    def with_pin(self, host: str, pin: ReleasePin | None) -> Prepared:
        """Return the same for a host that stays at this release, or at none."""
        return replace(self, engine=self.engine.with_pin(host, pin))

    def with_model(self, host: str, held: Held) -> Prepared:
        """Return the same for a host that stays at this model."""
        return replace(self, engine=self.engine.with_model(host, held))

    def with_header(self, sha256: str, dims: Dims) -> Prepared:
        """Return the same with the dimensions of one more model."""
        return replace(self, headers={**self.headers, sha256: dims})


@dataclass(frozen=True)
class Pinned:
    """What a command decided in the place of a setting: the value, and a sentence for people."""

    setting: str
    value: str
    sentence: str


@dataclass(frozen=True)
class Amiss:
    """What is wrong with one setting of a section: the keys that lead to it, and a sentence."""

    keys: Keys
    sentence: str

    def __str__(self) -> str:
        return f"{dotted(self.keys)}: {self.sentence}"


class PreparedSection(Section):
    """Settings of a role that mean something only with what is read beside them."""

    of_fleet: ClassVar[bool] = False
    """Whether that is the settings of all hosts, too."""

    def faults(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> Iterator[str | Amiss]:
        """Find what is wrong with these settings by the others, and the locks and files they name."""
        yield from ()

    def pins(self, host: str, prepared: Prepared) -> tuple[Pinned, ...]:
        """Return what engine.lock has for this host in the place of these settings."""
        return ()

    def warnings(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> tuple[str, ...]:
        """Warn of what is probably not meant, as far as settings alone show it."""
        return ()


def prepared_sections(settings: Mapping[str, Section]) -> dict[str, PreparedSection]:
    """Return those of a host's sections that what is read beside them says something of."""
    return {name: part for name, part in settings.items() if isinstance(part, PreparedSection)}
