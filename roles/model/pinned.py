"""A model file as the inventory pins it: by its sha256, its addresses, and what its header says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bramble.documents.problems import unknown
from bramble.models import catalogue
from bramble.models.dims import Dims
from bramble.models.lock import Locked
from bramble.models.projector import Projector
from bramble.prepared import Prepared

_SPARE_WORDS = 128


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
    projector: Projector | None = None


def with_dims(model: ChosenModel, prepared: Prepared) -> ChosenModel:
    """Add the dimensions of the model's header, where that had to be read."""
    read = prepared.headers.get(model.sha256)
    return replace(model, fit=read, noted=True) if read and not model.fit else model


def no_model(use: str, pin: ChosenModel) -> str | None:
    """Return why a file is none that answers or guesses."""
    if pin.projector is None:
        return None
    return f"{use} is a projector for images, and no model: name it in model.projector"


def unmeasured(setting: str, use: str) -> str:
    """Return what to say of a further model of which nobody knows what it takes."""
    return (
        f"model.{setting}: whether {use} fits beside the others is not known; "
        f"`bramble model lock {use}` reads its header"
    )


def other_words(model: Dims | None, draft: Dims | None) -> str | None:
    """Return why two models have not the same vocabulary, as far as their sizes tell.

    llama-server compares the words too, and takes so many more or fewer (common/speculative.cpp).
    """
    if model is None or draft is None:
        return None
    apart = abs(model.vocabulary - draft.vocabulary)
    if apart <= _SPARE_WORDS:
        return None
    return (
        f"its vocabulary has {draft.vocabulary} words, and the other {model.vocabulary}; name a model "
        "of the same family"
    )


def twice(use: str, found: ChosenModel, before: Sequence[tuple[str, ChosenModel]]) -> str | None:
    """Return what to say of a model that is there already, by its name or by its content."""
    for other, model in before:
        if other == use or model.name == found.name:
            return f"{use} is named already ({other}): name each model once"
        if model.sha256 == found.sha256:
            return (
                f"{use} is the same file as {other} (sha256 {found.sha256[:12]}): name one of them"
            )
    return None


def of_lock(name: str, entry: Locked, endpoint: str, mirror: str | None) -> ChosenModel:
    """Return the file of an entry of models.lock."""
    return ChosenModel(
        name=name,
        sha256=entry.sha256,
        size_bytes=entry.size_bytes,
        url=entry.url(endpoint),
        path=None,
        mirror_url=entry.url(mirror) if mirror else None,
        fit=entry.fit,
        projector=entry.projector,
    )


def locked(use: str, prepared: Prepared) -> Locked:
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


def unlocked(use: str, prepared: Prepared) -> tuple[str, ...]:
    """Name the other quants of the same model whose dimensions models.lock does not have."""
    model, known = use.partition(":")[0], prepared.models
    quants = [n for n in prepared.catalogue if n.partition(":")[0] == model and n != use]
    return tuple(name for name in quants if name not in known or known[name].fit is None)
