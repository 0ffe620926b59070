"""A model's dimensions as `models.lock` stores them, so that planning does not need its header."""

from __future__ import annotations

from itertools import groupby

from pydantic import model_validator

from bramble.models.geometry import Geometry
from bramble.models.gguf import SIZE_LIMIT
from bramble.models.keys import LAYERS_LIMIT, NUMBER_LIMIT
from bramble.models.layers import Layer
from bramble.models.weights import Weights
from bramble.settings import Section, option

RULES = 2
"""The version of the rules that read a header; older ones may give more than the model takes."""

EXACT_BEFORE = frozenset(
    [
        *("deci", "gemma2", "gemma3", "lfm2", "llama", "olmoe", "phi3", "qwen2", "qwen3", "qwen35"),
        "qwen3moe",
    ]
)
"""The architectures that the first rules read to the byte."""

OLD = "its dimensions were read by older rules, and `bramble model lock` reads them again"


class Layers(Section):
    """Equal layers in sequence: what each keeps and computes, in elements."""

    count: int = option(..., help="How many.", ge=1, le=LAYERS_LIMIT)
    key: int = option(..., help="Keys of a token.", ge=0, le=NUMBER_LIMIT)
    value: int = option(..., help="Values of a token.", ge=0, le=NUMBER_LIMIT)
    query: int = option(..., help="Queries of a token.", ge=0, le=NUMBER_LIMIT)
    feed_forward: int = option(..., help="Width between its matrices.", ge=0, le=NUMBER_LIMIT)
    state: int = option(..., help="State of a conversation.", ge=0, le=NUMBER_LIMIT)
    windowed: bool = option(..., help="Whether it has a sliding window.")


class Dims(Section):
    """What `bramble fit` reads in a model's header."""

    arch: str = option(..., help="Architecture.", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    embedding: int = option(..., help="Width of the embedding.", ge=1, le=NUMBER_LIMIT)
    vocabulary: int = option(..., help="Size of the vocabulary.", ge=1, le=NUMBER_LIMIT)
    ctx_train: int = option(..., help="Context it was trained for.", ge=1, le=NUMBER_LIMIT)
    window: int = option(..., help="Width of the sliding window.", ge=0, le=NUMBER_LIMIT)
    experts_used: int = option(..., help="Experts for a token.", ge=0, le=NUMBER_LIMIT)
    file_bytes: int = option(..., help="All tensors.", ge=1, le=SIZE_LIMIT)
    active_bytes: int = option(..., help="Tensors read for a token.", ge=0, le=SIZE_LIMIT)
    active_elements: int = option(..., help="Weights of a token.", ge=0, le=SIZE_LIMIT)
    repacked_bytes: int = option(..., help="Tensors of repacked types.", ge=0, le=SIZE_LIMIT)
    twice_bytes: int = option(..., help="What is in memory twice then.", ge=0, le=SIZE_LIMIT)
    lazy_bytes: int = option(0, help="What is read a row at a time.", ge=0, le=SIZE_LIMIT)
    layers: tuple[Layers, ...] = option(..., help="Its layers, in order.")
    doubt: str = option(
        "", help="Why it may take less than is counted.", pattern=r"^[^\x00-\x1f]{0,400}$"
    )
    rules: int = option(1, help="Version of the rules that read the header.", ge=1, le=RULES)

    @model_validator(mode="after")
    def _bounded(self) -> Dims:
        count = sum(run.count for run in self.layers)
        if not 1 <= count <= LAYERS_LIMIT:
            raise ValueError(f"{count} layers; 1 to {LAYERS_LIMIT} are right")
        return self

    @property
    def stale(self) -> bool:
        """Whether the header should be read again, as the dimensions may be too large."""
        return self.rules < RULES and self.arch not in EXACT_BEFORE

    @property
    def geometry(self) -> Geometry:
        """The dimensions, one layer after another."""
        return Geometry(
            arch=self.arch,
            embedding=self.embedding,
            vocabulary=self.vocabulary,
            ctx_train=self.ctx_train,
            window=self.window,
            experts_used=self.experts_used,
            layers=tuple(
                Layer(**run.model_dump(exclude={"count"}))
                for run in self.layers
                for _ in range(run.count)
            ),
            weights=Weights(
                file_bytes=self.file_bytes,
                active_bytes=self.active_bytes,
                active_elements=self.active_elements,
                repacked_bytes=self.repacked_bytes,
                twice_bytes=self.twice_bytes,
                lazy_bytes=self.lazy_bytes,
            ),
            doubt=OLD if self.stale else self.doubt,
        )


def dims_of(model: Geometry) -> Dims:
    """Return these dimensions in the form that is stored."""
    return Dims(
        arch=model.arch,
        embedding=model.embedding,
        vocabulary=model.vocabulary,
        ctx_train=model.ctx_train,
        window=model.window,
        experts_used=model.experts_used,
        **vars(model.weights),
        doubt=model.doubt,
        rules=RULES,
        layers=tuple(
            Layers(count=len(list(alike)), **vars(layer)) for layer, alike in groupby(model.layers)
        ),
    )
