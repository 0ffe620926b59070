"""Weights that stay in memory: how much of it, and where that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bramble.fit.deploy import Judged
from bramble.models.dims import Dims
from bramble.outputs import ModelOutputs

ARGUMENTS = ("--load-mode mmap+mlock", "--no-repack")
"""Of weights that are copied into another order, llama-server locks the file, and not the copies."""

DISTURBING = ("--repack",)
"""The arguments that would have them copied."""


@dataclass(frozen=True)
class Locked:
    """The weights that are to be locked, and why that is refused.

    They are sizes in bytes by the models' paths, None for one that is not known.
    """

    sizes: Mapping[str, int | None]
    refusal: str | None


def locked(model: ModelOutputs, fit: Judged | None) -> Locked:
    """Return what is to be locked of these models, and why that is refused where it may not fit."""
    loaded = (*model.every, *((model.draft,) if model.draft else ()))
    sizes = {one.path: _size(one.dimensions) for one in loaded}
    if fit and fit.answer.verdict in ("yes", "tight"):
        return Locked(sizes, None)
    what = "does not fit" if fit and fit.answer.verdict == "no" else "may not fit"
    return Locked(
        sizes,
        f"serving.lock_weights: {model.name} {what}, and weights that cannot be dropped would leave the "
        "node without memory: take a model that is known to fit (`bramble model lock`, `bramble fit`), "
        "or set serving.lock_weights to false",
    )


def _size(dimensions: Dims | None) -> int | None:
    weights = dimensions.geometry.weights if dimensions else None
    return weights.file_bytes - weights.lazy_bytes if weights else None
