"""Weights that stay in memory: how much of it, and where that is refused."""

from __future__ import annotations

from dataclasses import dataclass

from bramble.fit.deploy import Judged
from bramble.outputs import ModelOutputs

ARGUMENTS = ("--load-mode mmap+mlock", "--no-repack")
"""Of weights that are copied into another order, llama-server locks the file, and not the copies."""

DISTURBING = ("--repack", "--sleep-idle-seconds")
"""The arguments that would have them copied or given up."""


@dataclass(frozen=True)
class Locked:
    """The weights that are to be locked: their size, None where it is not known, and why not to."""

    size_bytes: int | None
    refusal: str | None


def locked(model: ModelOutputs, fit: Judged | None) -> Locked:
    """Return what is to be locked of this model, and why that is refused where it may not fit."""
    weights = model.dimensions.geometry.weights if model.dimensions else None
    size_bytes = weights.file_bytes - weights.lazy_bytes if weights else None
    if fit and fit.answer.verdict in ("yes", "tight"):
        return Locked(size_bytes, None)
    what = "does not fit" if fit and fit.answer.verdict == "no" else "may not fit"
    return Locked(
        size_bytes,
        f"serving.lock_weights: {model.name} {what}, and weights that cannot be dropped would leave the "
        "node without memory: take a model that is known to fit (`bramble model lock`, `bramble fit`), "
        "or set serving.lock_weights to false",
    )
