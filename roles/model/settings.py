"""Settings of the role model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import StringConstraints, ValidationError, field_validator, model_validator

from bramble.llama import lock as engine_lock
from bramble.llama.releases import note
from bramble.models import beside, catalogue
from bramble.models.dims import Dims
from bramble.models.hub import ENDPOINT
from bramble.models.lock import Locked
from bramble.prepared import Amiss, Pinned, Prepared, PreparedSection
from bramble.roles.model.pinned import (
    ChosenModel,
    locked,
    no_model,
    of_lock,
    other_words,
    twice,
    unlocked,
    unmeasured,
    with_dims,
)
from bramble.settings import LocalPath, Section, option
from bramble.snapshot import FileState, Snapshot

_HUB_URL = re.compile(r"https?://[^/]+/[^/]+/[^/]+/(?P<kind>resolve|blob|raw)/(?P<revision>[^/]+)/")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LIMIT_MIB = 64
FOLDER = "/var/lib/bramble/models"


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
    draft: str | None = option(
        None,
        help="A small model of the same vocabulary, MODEL:QUANT of models.yml and pinned as `use` is: "
        "it guesses what comes next where serving.speculation.type is draft-simple.",
        example="qwen2.5-0.5b-instruct:q4_k_m",
        pattern=catalogue.USE,
    )
    projector: str | None = option(
        None,
        help="The file that makes tokens of images for the model (mmproj), MODEL:QUANT of models.yml "
        "and pinned as `use` is; not set: the model takes text alone.",
        example="gemma-3-4b-it:mmproj_f16",
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
            return with_dims(replace(model, fit=known.dims if known else None), prepared)
        model = replace(
            self._of_lock(self.use.replace(":", "-"), locked(self.use, prepared)),
            others={use: dims for use, dims in others.items() if use != self.use},
            unlocked=unlocked(self.use, prepared),
        )
        return with_dims(model, prepared)

    def chosen(self, host: str, prepared: Prepared) -> ChosenModel:
        """Return the file that a host serves: its own, or the one that engine.lock holds it to."""
        own, held = self.own(prepared), prepared.engine.models.get(host)
        if held is None or held.instead_of != own.sha256 or held.sha256 == own.sha256:
            return own
        found = (entry for entry in prepared.models.values() if entry.sha256 == held.sha256)
        entry = next(found, None)
        model = (
            self._of_lock(held.name, entry)
            if entry
            else ChosenModel(held.name, held.sha256, None, None, None)
        )
        model = replace(model, others=own.others, unlocked=own.unlocked)
        return with_dims(model, prepared)

    def further(self, host: str, prepared: Prepared) -> tuple[ChosenModel, ...]:
        """Return the files that a host serves beside the first one.

        Where the host was rolled back to one of them, that is the first one already.
        """
        first = self.chosen(host, prepared)
        several = (self._named(use, prepared) for use in self.also)
        return tuple(
            one for one in several if one.sha256 != first.sha256 and one.name != first.name
        )

    def drafting(self, host: str, prepared: Prepared) -> ChosenModel | None:
        """Return the file of the model that guesses; None where the host went back to another one."""
        return self._helping(self.draft, host, prepared)

    def seeing(self, host: str, prepared: Prepared) -> ChosenModel | None:
        """Return the file that makes tokens of images; None where the host went back likewise."""
        return self._helping(self.projector, host, prepared)

    def _helping(self, use: str | None, host: str, prepared: Prepared) -> ChosenModel | None:
        if use is None or self.chosen(host, prepared).sha256 != self.own(prepared).sha256:
            return None
        return self._named(use, prepared)

    def _named(self, use: str, prepared: Prepared) -> ChosenModel:
        """Return the file of a name of models.yml; raise LookupError where it is not locked."""
        found = self._of_lock(use.replace(":", "-"), locked(use, prepared))
        return replace(found, use=use)

    def _of_lock(self, name: str, entry: Locked) -> ChosenModel:
        return of_lock(name, entry, self.endpoint, self.mirror)

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
            if said := twice(use, found, seen):
                yield Amiss(("also", at), said)
            seen.append((use, found))
        for name, pin in seen:
            if why := no_model(name, pin):
                yield Amiss(("use",) if name == self.use else ("also",), why)
        for key, helper in (("draft", self.draft), ("projector", self.projector)):
            if helper is not None:
                found_amiss = self._amiss(key, helper, prepared, seen)
                yield from (Amiss((key,), why) for why in found_amiss)
        local = prepared.files.get(self.path) if self.path else None
        if local and local.size_bytes > _LIMIT_MIB << 20:
            yield (
                f"path is {local.size_bytes >> 20} MiB and {_LIMIT_MIB} is the most that goes "
                "over SSH; put the file on a web server and give its url"
            )

    def _amiss(
        self, key: str, use: str, prepared: Prepared, served: Sequence[tuple[str, ChosenModel]]
    ) -> Iterator[str]:
        """Find what is wrong with a file that helps the model, beside those that are served."""
        if self.also:
            yield "it helps one model, and model.also names more: leave one of the two out"
        try:
            found = self._named(use, prepared)
        except LookupError as error:
            yield str(error.args[0])
            return
        if said := twice(use, found, served):
            yield said
        if key == "projector":
            if found.projector is None and found.fit is not None:
                yield f"{use} is a model, and no projector for images: look for its mmproj file"
            return
        if said := no_model(use, found):
            yield said
        for name, model in served[:1]:
            if why := other_words(model.fit, found.fit):
                yield f"{use} cannot guess for {name}: {why}"

    def warnings(
        self, sections: Mapping[str, Section], host: str, prepared: Prepared
    ) -> tuple[str, ...]:
        """Warn of models of which nobody knows what they take beside the others."""
        several = [
            *(("also", one) for one in self.further(host, prepared)),
            ("draft", self.drafting(host, prepared)),
            ("projector", self.seeing(host, prepared)),
        ]
        return tuple(
            unmeasured(setting, one.use or one.name)
            for setting, one in several
            if one and not (one.fit or one.projector)
        )

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
