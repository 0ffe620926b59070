"""Settings of the role model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import PrivateAttr, ValidationError, ValidationInfo, field_validator, model_validator

from bramble.fit.dims import Dims, dims_of
from bramble.fit.geometry import geometry
from bramble.fit.source import SourceError, header
from bramble.inventory.problems import InventoryError, unknown
from bramble.llama import lock as engine_lock
from bramble.llama.releases import note
from bramble.models import beside, catalogue, lock
from bramble.models.gguf import GgufError
from bramble.models.hub import ENDPOINT
from bramble.settings import LocalPath, Pinned, Section, option
from bramble.snapshot import FileState, Snapshot

_HUB_URL = re.compile(r"https?://[^/]+/[^/]+/[^/]+/(?P<way>resolve|blob|raw)/(?P<revision>[^/]+)/")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LIMIT_MIB = 64
FOLDER = "/var/lib/bramble/models"


@dataclass(frozen=True)
class ChosenModel:
    """The one file that the settings mean, whichever way they name it.

    `fit` is what is known of it before it is fetched; `others` the same of what else is locked, and
    `unlocked` the model's other quants of which nothing is known yet. With `noted` it was read from the
    model's address, and the node is to remember it.
    """

    name: str
    sha256: str
    size_bytes: int | None
    url: str | None
    path: Path | None
    mirror_url: str | None = None
    fit: Dims | None = None
    others: Mapping[str, Dims] = field(default_factory=dict)
    unlocked: tuple[str, ...] = ()
    noted: bool = False


class Settings(Section):
    """The model file: one of models.yml by its name, or a name, a place and a sha256 of your own."""

    without_default: ClassVar[tuple[str, ...]] = ("use",)
    sent: ClassVar[tuple[str, ...]] = ("path",)
    uses: ClassVar[tuple[str, ...]] = ("storage",)

    use: str | None = option(
        None,
        help="MODEL:QUANT of models.yml, as `bramble model lock` pinned it; "
        "takes the place of name, url, path and sha256.",
        example="qwen2.5-1.5b-instruct:q4_k_m",
        pattern=catalogue.USE,
    )
    endpoint: str = option(
        ENDPOINT,
        help="Hub, or a mirror of one, that nodes fetch what `use` names from.",
        example="http://192.168.1.2:8090",
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
    )
    mirror: str | None = option(
        None,
        help="A mirror of the hub that is asked before `endpoint` for what `use` names; where it does "
        "not give the file, `endpoint` does.",
        example="http://192.168.1.2:8090",
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
    )
    name: str | None = option(
        None,
        help="Name of the model; also the file's name on the node and the server's alias.",
        example="qwen2.5-1.5b-instruct-q4_k_m",
        pattern=engine_lock.MODEL_NAME,
    )
    url: str | None = option(
        None,
        help="Where the node downloads it.",
        example="https://example.org/models/model.gguf",
        pattern=r"^https?://\S+$",
    )
    path: LocalPath | None = option(
        None, help="A small file of this computer, sent over SSH instead (64 MiB at most)."
    )
    sha256: str | None = option(
        None, help="The file's sha256; nothing else is ever served.", pattern=r"^[0-9a-f]{64}$"
    )
    folder: str | None = option(
        None,
        help=f"Folder on the node, taken as it is. Not set: `{FOLDER}`, which leads to the SSD where "
        "role storage has mounted one.",
        example="/srv/models",
        pattern=r"^/[A-Za-z0-9._/@+~,=-]*$",
    )
    fit: Literal["refuse", "warn"] = option(
        "refuse",
        help="What a deploy does with a model that does not fit into the node's memory as it is to "
        "be served: `refuse` it before anything is fetched, or `warn`.",
    )
    _pin: ChosenModel = PrivateAttr()
    _own: ChosenModel = PrivateAttr()
    _folder: Path = PrivateAttr(default=Path())

    @property
    def place(self) -> str:
        """The folder's path on the node."""
        return (self.folder or FOLDER).rstrip("/")

    @property
    def file(self) -> str:
        """The file's path on the node; the same content has the same one, so two models share none."""
        return f"{self.place}/{self._pin.name}-{self._pin.sha256[:12]}.gguf"

    @property
    def pin(self) -> ChosenModel:
        """The file that these settings mean."""
        return self._pin

    @property
    def own(self) -> ChosenModel:
        """The file that the inventory names, also where the host went back to another one."""
        return self._own

    def pins(self, host: str) -> tuple[Pinned, ...]:
        """The model that engine.lock has for this host."""
        if self._pin.sha256 == self._own.sha256:
            return ()
        said = (
            f"{host} stays at model {self._pin.name} and does not get {self._own.name} since `bramble "
            "model rollback` (engine.lock), until the inventory names another model than now or "
            f"`bramble model rollback {host}` returns"
        )
        return (Pinned("use" if self.use else "name", self._pin.name, said),)

    def back_to(self, name: str, sha256: str) -> Settings:
        """The same for a host that stays at a model that it has, or at the inventory's own."""
        made = self.model_copy()
        if sha256 == self._own.sha256:
            made._pin = self._own
            return made
        others = _locked_or_none(self._folder)
        entry = next((entry for entry in others.values() if entry.sha256 == sha256), None)
        made._pin = replace(
            self._own,
            name=name,
            sha256=sha256,
            size_bytes=entry.size_bytes if entry else None,
            url=entry.url(self.endpoint) if entry else None,
            path=None,
            mirror_url=entry.url(self.mirror) if entry and self.mirror else None,
            fit=entry.fit if entry else None,
        )
        return made

    def ahead(self, snapshot: Snapshot) -> Dims | str | None:
        """What the node noted of a model that neither the lock nor this computer knows, or its address.

        None where it is known, or where it is on the node already: then nothing is fetched that could
        be too large.
        """
        if self._pin.fit:
            return None
        there = isinstance(snapshot.file(self.file), FileState)
        try:
            noted = Dims.model_validate(note(snapshot, beside.dimensions(self.file)))
        except ValidationError:
            return None if there else self._pin.url
        return self._pin.url if noted.stale and not there else noted

    def known(self, dimensions: Dims) -> Settings:
        """The same with what the file's header says of it."""
        made = self.model_copy()
        made._pin = replace(self._pin, fit=dimensions, noted=True)
        return made

    @field_validator("url")
    @classmethod
    def _of_a_commit(cls, url: str | None) -> str | None:
        """A hub's address of a branch means another file after the next upload; nodes have no login."""
        if "@" in urlsplit(url or "").netloc:
            raise ValueError(
                "url has a name or password in it, and nodes have no login; put the file on a server "
                "of yours that asks for none, or name it in models.yml and run `bramble model pull`"
            )
        hub = _HUB_URL.match(url or "")
        if hub and hub["way"] != "resolve":
            raise ValueError(
                f"/{hub['way']}/ is not where the hub has the file itself; "
                "write /resolve/ and a commit there"
            )
        if hub and not _COMMIT.fullmatch(hub["revision"]):
            raise ValueError(
                f"{hub['revision']!r} is whatever was uploaded last; write the commit (40 digits) in "
                "its place, or name the model in models.yml, run `bramble model lock` and set "
                "model.use"
            )
        return url

    @model_validator(mode="after")
    def _one_file(self, info: ValidationInfo) -> Settings:
        folder = Path((info.context or {}).get("folder", Path()))
        if self.use is None:
            self._pin = replace(self._given(), others=_others(folder))
            return self
        if self.name or self.url or self.path or self.sha256:
            raise ValueError(
                "use takes the place of name, url, path and sha256; "
                "leave them out (null takes away what another layer sets)"
            )
        locked = _locked(self.use, folder)
        found = locked[self.use]
        self._pin = ChosenModel(
            name=self.use.replace(":", "-"),
            sha256=found.sha256,
            size_bytes=found.size_bytes,
            url=found.url(self.endpoint),
            path=None,
            mirror_url=found.url(self.mirror) if self.mirror else None,
            fit=found.fit,
            others={use: kept for use, kept in _others(folder).items() if use != self.use},
            unlocked=_unlocked(self.use, locked, folder),
        )
        return self

    @model_validator(mode="after")
    def _as_decided(self, info: ValidationInfo) -> Settings:
        self._own = self._pin
        if info.context is None:
            return self
        self._folder = Path(info.context["folder"])
        try:
            lock_of_hosts = engine_lock.read(self._folder)
        except InventoryError as error:
            raise ValueError(str(error)) from None
        held = lock_of_hosts.models.get(info.context.get("host", ""))
        if held and held.instead_of == self._own.sha256:
            self._pin = self.back_to(held.name, held.sha256).pin
        return self

    def _given(self) -> ChosenModel:
        """The file by its own name, place and sha256."""
        if not (self.name or self.url or self.path or self.sha256):
            raise ValueError(
                "no model is named; set use to a model of models.yml (`bramble model list`), "
                "or name, url and sha256"
            )
        if self.name is None or self.sha256 is None:
            lacking = "name" if self.name is None else "sha256"
            raise ValueError(f"{lacking} is not set, and without use it is needed")
        if (self.url is None) == (self.path is None):
            raise ValueError("give url or path, one of them")
        if self.path and self.path.exists() and self.path.stat().st_size > _LIMIT_MIB << 20:
            raise ValueError(
                f"path is {self.path.stat().st_size >> 20} MiB and {_LIMIT_MIB} is the most that goes "
                "over SSH; put the file on a web server and give its url"
            )
        size = self.path.stat().st_size if self.path and self.path.exists() else None
        known = _dimensions(self.path, size) if self.path and size else None
        return ChosenModel(self.name, self.sha256, None, self.url, self.path, fit=known)


@lru_cache
def _dimensions(path: Path, size: int) -> Dims | None:
    """What a file of this computer says of itself; one that is no model is told by the fetch."""
    try:
        return dims_of(geometry(header(str(path))))
    except (GgufError, SourceError):
        return None


def _others(folder: Path) -> dict[str, Dims]:
    """What is locked and known."""
    return {use: entry.fit for use, entry in _locked_or_none(folder).items() if entry.fit}


def _locked_or_none(folder: Path) -> Mapping[str, lock.Locked]:
    """What is locked; a lock that is wrong is told where it is used."""
    try:
        return lock.load(folder)
    except InventoryError:
        return {}


def _locked(use: str, folder: Path) -> Mapping[str, lock.Locked]:
    """What is locked, this name among it; what is wrong otherwise, with what to do."""
    try:
        locked = lock.load(folder)
        if use in locked:
            return locked
        known = catalogue.places(catalogue.load(folder))
    except InventoryError as error:
        raise ValueError(str(error)) from None
    if use in known:
        raise ValueError(
            f"{use} is not locked: its sha256 is not known yet; run `bramble model lock {use}`"
        )
    raise ValueError(f"no {use} in {catalogue.FILE}; {unknown(use, known)}")


def _unlocked(use: str, locked: Mapping[str, lock.Locked], folder: Path) -> tuple[str, ...]:
    """The other quants of a name's model whose dimensions no lock has; the lock is enough without."""
    try:
        known = catalogue.places(catalogue.load(folder))
    except InventoryError:
        return ()
    model = use.partition(":")[0]
    quants = [name for name in known if name.partition(":")[0] == model and name != use]
    return tuple(name for name in quants if name not in locked or locked[name].fit is None)
