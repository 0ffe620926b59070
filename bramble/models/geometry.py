"""The dimensions that a model's memory depends on, read from its header as the pinned llama.cpp does.

Per-layer values follow `llama_model_base::load_hparams` (src/llama-model.cpp); what differs between
architectures is in architectures.py and layers.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.models.architectures import COMPARED, DRAFTS, READ_LAZILY
from bramble.models.gguf import Header
from bramble.models.keys import GeometryError, Keys
from bramble.models.layers import Layer, layers
from bramble.models.weights import Weights, weights


@dataclass(frozen=True)
class Geometry:
    """A model's dimensions."""

    arch: str
    embedding: int
    vocabulary: int
    ctx_train: int
    window: int
    experts_used: int
    layers: tuple[Layer, ...]
    weights: Weights
    doubt: str = ""
    """Why the counted cache is an upper bound; empty where it is exact."""

    @property
    def compared(self) -> bool:
        """Whether tests compare this architecture's compute buffer too with llama.cpp's."""
        return self.arch in COMPARED


def geometry(header: Header) -> Geometry:
    """Return the dimensions that a header gives, all within bounds."""
    read = Keys(header)
    _served(read)
    vocabulary, embedding = _embedding(header, read)
    experts_used = max(read.each("expert_used_count", 0))
    found = layers(read, embedding)
    sums = weights(header.tensors, experts_used)
    return Geometry(
        arch=read.arch,
        embedding=embedding,
        vocabulary=vocabulary,
        ctx_train=read.number("context_length"),
        window=found.window,
        experts_used=experts_used,
        layers=found.each,
        weights=sums,
        doubt=found.doubt or _lazily(read.arch, sums),
    )


def _lazily(arch: str, sums: Weights) -> str:
    """Return why the weights need not all lie in memory."""
    if arch not in READ_LAZILY or not sums.lazy_bytes:
        return ""
    return (
        f"{sums.lazy_bytes >> 20} MiB of it are a table that llama.cpp reads from the file a row at "
        "a time, and need not lie in memory"
    )


def _served(read: Keys) -> None:
    """Raise GeometryError for a draft model."""
    if read.arch in DRAFTS:
        raise GeometryError(
            f"The file is a draft model ({read.arch}): it proposes tokens to another model, and is not "
            "served alone. Take the model that it belongs to."
        )


def _embedding(header: Header, read: Keys) -> tuple[int, int]:
    """Return the vocabulary's size and the embedding's width, by the shape of its matrix."""
    found = next((one for one in header.tensors if one.name == "token_embd.weight"), None)
    if found is None or len(found.shape) != 2:
        raise GeometryError("The file has no token embedding: it is no language model.")
    width = read.number("embedding_length")
    if found.shape[0] != width:
        raise GeometryError(
            f"The token embedding is {found.shape[0]} wide, and {read.arch}.embedding_length {width}."
        )
    return found.shape[1], width
