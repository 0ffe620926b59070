"""Settings of the role model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import StringConstraints, ValidationError, field_validator, model_validator

from bramble.documents.problems import unknown
from bramble.llama import lock as engine_lock
from bramble.llama.releases import note
from bramble.models import beside, catalogue
from bramble.models.dims import Dims
from bramble.models.hub import ENDPOINT
from bramble.models.lock import Locked
from bramble.prepared import Amiss, Pinned, Prepared, PreparedSection
from bramble.settings import LocalPath, Section, option
from bramble.snapshot import FileState, Snapshot

_HUB_URL = re.compile(r"https?://[^/]+/[^/]+/[^/]+/(?P<kind>resolve|blob|raw)/(?P<revision>[^/]+)/")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LIMIT_MIB = 64
FOLDER = "/var/lib/bramble/models"


@dataclass(frozen=True)
class ChosenModel:
    """A file that the settings select, `use` being its name in models.yml where it has one.

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
    use: str | None = None


class Settings(PreparedSection):
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
    also: tuple[Annotated[str, StringConstraints(pattern=catalogue.USE)], ...] = option(
        (),
        help="Models that the node serves beside that one, each MODEL:QUANT of models.yml and pinned as "
        "`use` is; serving.models_at_once says how many may be loaded at the same time.",
        example=["qwen2.5-0.5b-instruct:q4_k_m"],
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

    @property
    def place(self) -> str:
        """Return the folder's path on the node."""
        return (self.folder or FOLDER).rstrip("/")

    def file(self, model: ChosenModel) -> str:
        """Return a model's path on the node; the same content has the same one, so two share none."""
        return f"{self.place}/{model.name}-{model.sha256[:12]}.gguf"

    def own(self, prepared: Prepared) -> ChosenModel:
        """Return the file that the inventory names, also where engine.lock holds the host to another.

        Raise LookupError with what to do where `use` names none that is locked.
        """
        others = {use: entry.fit for use, entry in prepared.models.items() if entry.fit}
        if self.use is None:
            assert self.name is not None
            assert self.sha256 is not None
            known = prepared.files.get(self.path) if self.path else None
            model = ChosenModel(self.name, self.sha256, None, self.url, self.path, others=others)
            return _with_dims(replace(model, fit=known.dims if known else None), prepared)
        model = replace(
            _of_lock(self.use.replace(":", "-"), _locked(self.use, prepared), self),
            others={use: dims for use, dims in others.items() if use != self.use},
            unlocked=_unlocked(self.use, prepared),
        )
        return _with_dims(model, prepared)

    def chosen(self, host: str, prepared: Prepared) -> ChosenModel:
        """Return the file that a host serves: its own, or the one that engine.lock holds it to."""
        own, held = self.own(prepared), prepared.engine.models.get(host)
        if held is None or held.instead_of != own.sha256 or held.sha256 == own.sha256:
            return own
        found = (entry for entry in prepared.models.values() if entry.sha256 == held.sha256)
        entry = next(found, None)
        model = (
            _of_lock(held.name, entry, self)
            if entry
            else ChosenModel(held.name, held.sha256, None, None, None)
        )
        model = replace(model, others=own.others, unlocked=own.unlocked)
        return _with_dims(model, prepared)

    def further(self, host: str, prepared: Prepared) -> tuple[ChosenModel, ...]:
        """Return the files that a host serves beside the first one.

        Where the host was rolled back to one of them, that is the first one already.
        """
        first = self.chosen(host, prepared)
        several = (self._named(use, prepared) for use in self.also)
        return tuple(
            one for one in several if one.sha256 != first.sha256 and one.name != first.name
        )

    def _named(self, use: str, prepared: Prepared) -> ChosenModel:
        """Return the file of a name of models.yml; raise LookupError where it is not locked."""
        found = _of_lock(use.replace(":", "-"), _locked(use, prepared), self)
        return replace(found, use=use)

    def faults(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> Iterator[str | Amiss]:
        """Find names that are not locked, a model that is named twice, and a file too large to send."""
        try:
            seen = [(self.use or "the first model", self.own(prepared))]
        except LookupError as error:
            yield str(error.args[0])
            seen = []
        for at, use in enumerate(self.also):
            try:
                found = self._named(use, prepared)
            except LookupError as error:
                yield Amiss(("also", at), str(error.args[0]))
                continue
            if said := _twice(use, found, seen):
                yield Amiss(("also", at), said)
            seen.append((use, found))
        local = prepared.files.get(self.path) if self.path else None
        if local and local.size_bytes > _LIMIT_MIB << 20:
            yield (
                f"path is {local.size_bytes >> 20} MiB and {_LIMIT_MIB} is the most that goes "
                "over SSH; put the file on a web server and give its url"
            )

    def warnings(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> tuple[str, ...]:
        """Warn of models of which nobody knows what they take beside the others."""
        further = self.further(host, prepared)
        return unmeasured(one.use or one.name for one in further if one.fit is None)

    def pins(self, host: str, prepared: Prepared) -> tuple[Pinned, ...]:
        """Return the model that engine.lock has for this host."""
        own, chosen = self.own(prepared), self.chosen(host, prepared)
        if chosen.sha256 == own.sha256:
            return ()
        said = (
            f"{host} stays at model {chosen.name} and does not get {own.name} since `bramble "
            "model rollback` (engine.lock), until the inventory names another model than now or "
            f"`bramble model rollback {host}` returns"
        )
        return (Pinned("use" if self.use else "name", chosen.name, said),)

    def ahead(self, host: str, prepared: Prepared, snapshot: Snapshot) -> Dims | str | None:
        """Return the dimensions that the node noted of an unknown model, or the model's address.

        Return None where it is known, or where the file is on the node already: then nothing is
        fetched that could be too large.
        """
        model = self.chosen(host, prepared)
        if model.fit:
            return None
        file = self.file(model)
        there = isinstance(snapshot.file(file), FileState)
        try:
            noted = Dims.model_validate(note(snapshot, beside.dimensions(file)))
        except ValidationError:
            return None if there else model.url
        return model.url if noted.stale and not there else noted

    @field_validator("url")
    @classmethod
    def _of_a_commit(cls, url: str | None) -> str | None:
        """Refuse addresses of branches, which change with the next upload, and those with a password."""
        if "@" in urlsplit(url or "").netloc:
            raise ValueError(
                "url has a name or password in it, and nodes have no login; put the file on a server "
                "of yours that asks for none, or name it in models.yml and run `bramble model pull`"
            )
        hub = _HUB_URL.match(url or "")
        if hub and hub["kind"] != "resolve":
            raise ValueError(
                f"/{hub['kind']}/ is not where the hub has the file itself; "
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
    def _one_file(self) -> Settings:
        """Require either `use`, or name, sha256 and one of url and path."""
        named = self.name or self.url or self.path or self.sha256
        if self.use is not None:
            if named:
                raise ValueError(
                    "use takes the place of name, url, path and sha256; "
                    "leave them out (null takes away what another layer sets)"
                )
            return self
        if not named:
            raise ValueError(
                "no model is named; set use to a model of models.yml (`bramble model list`), "
                "or name, url and sha256"
            )
        if self.name is None or self.sha256 is None:
            lacking = "name" if self.name is None else "sha256"
            raise ValueError(f"{lacking} is not set, and without use it is needed")
        if (self.url is None) == (self.path is None):
            raise ValueError("give url or path, one of them")
        return self


def _with_dims(model: ChosenModel, prepared: Prepared) -> ChosenModel:
    """Add the dimensions of the model's header, where that had to be read."""
    read = prepared.headers.get(model.sha256)
    return replace(model, fit=read, noted=True) if read and not model.fit else model


def unmeasured(uses: Iterable[str]) -> tuple[str, ...]:
    """Return what to say of further models of which nobody knows what they take."""
    return tuple(
        f"model.also: whether {use} fits beside the others is not known; `bramble model lock {use}` "
        "reads its header"
        for use in uses
    )


def _twice(use: str, found: ChosenModel, before: Sequence[tuple[str, ChosenModel]]) -> str | None:
    """Return what to say of a model that is there already, by its name or by its content."""
    for other, model in before:
        if other == use or model.name == found.name:
            return f"{use} is named already ({other}): name each model once"
        if model.sha256 == found.sha256:
            return (
                f"{use} is the same file as {other} (sha256 {found.sha256[:12]}): name one of them"
            )
    return None


def _of_lock(name: str, entry: Locked, settings: Settings) -> ChosenModel:
    """Return the file of an entry of models.lock."""
    return ChosenModel(
        name=name,
        sha256=entry.sha256,
        size_bytes=entry.size_bytes,
        url=entry.url(settings.endpoint),
        path=None,
        mirror_url=entry.url(settings.mirror) if settings.mirror else None,
        fit=entry.fit,
    )


def _locked(use: str, prepared: Prepared) -> Locked:
    """Return the entry of a name; raise LookupError with what to do where there is none."""
    if prepared.models_error:
        raise LookupError(prepared.models_error)
    if use in prepared.models:
        return prepared.models[use]
    if prepared.catalogue_error:
        raise LookupError(prepared.catalogue_error)
    if use in prepared.catalogue:
        raise LookupError(
            f"{use} is not locked: its sha256 is not known yet; run `bramble model lock {use}`"
        )
    raise LookupError(f"no {use} in {catalogue.FILE}; {unknown(use, prepared.catalogue)}")


def _unlocked(use: str, prepared: Prepared) -> tuple[str, ...]:
    """Name the other quants of the same model whose dimensions models.lock does not have."""
    model, locked = use.partition(":")[0], prepared.models
    quants = [n for n in prepared.catalogue if n.partition(":")[0] == model and n != use]
    return tuple(name for name in quants if name not in locked or locked[name].fit is None)
