"""A transformer's dimensions with its heads, by which engines split a model among boards.

`models.lock` keeps no numbers of heads, so those of published models are here; a header has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bramble.models.geometry import Geometry
from bramble.models.gguf import Header
from bramble.models.keys import Keys
from bramble.models.layers import Layer
from bramble.models.weights import Weights

Q4_NUMERATOR, Q4_DENOMINATOR = 18, 32
"""Bytes of a block of Q4_0, and the weights in it: llama.cpp's and distributed-llama's q40 are alike."""


@dataclass(frozen=True)
class Shape:
    """The dimensions; of a mixture of experts `feed_forward` is that of one expert."""

    arch: str
    embedding: int
    vocabulary: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    experts: int = 0
    experts_used: int = 0
    tied: bool = False
    ctx_train: int = 131072

    @property
    def attention(self) -> int:
        """The weights of a layer's attention."""
        query = self.embedding * self.heads * self.head_dim
        return 2 * query + 2 * self.embedding * self.kv_heads * self.head_dim

    @property
    def experts_at_once(self) -> int:
        """The feed-forward networks of a layer that a token is multiplied with."""
        return max(self.experts_used, 1)

    @property
    def expert(self) -> int:
        """The weights of one feed-forward network."""
        return 3 * self.embedding * self.feed_forward

    @property
    def layer(self) -> int:
        """The weights of a layer."""
        return self.attention + max(self.experts, 1) * self.expert

    @property
    def head(self) -> int:
        """The weights of the embedding, and as many of the output's matrix."""
        return self.embedding * self.vocabulary

    @property
    def read_layers(self) -> int:
        """The weights of all layers that one token is multiplied with."""
        return self.layers * (self.attention + self.experts_at_once * self.expert)


def q4_bytes(weights: int) -> int:
    """Return the bytes of so many weights in blocks of four bits."""
    return weights * Q4_NUMERATOR // Q4_DENOMINATOR


def _llama(layers: int, embedding: int, ff: int, heads: int, kv: int, vocabulary: int) -> Shape:
    return Shape("llama", embedding, vocabulary, layers, heads, kv, embedding // heads, ff)


def _qwen3(layers: int, embedding: int, ff: int, heads: int, tied: bool) -> Shape:
    return Shape("qwen3", embedding, 151936, layers, heads, 8, 128, ff, tied=tied, ctx_train=40960)


def _qwen2(layers: int, embedding: int, ff: int, heads: int, kv: int, tied: bool) -> Shape:
    vocabulary = 151936 if embedding < 3584 else 152064
    width = embedding // heads
    return Shape(
        "qwen2", embedding, vocabulary, layers, heads, kv, width, ff, tied=tied, ctx_train=32768
    )


def _tied(shape: Shape) -> Shape:
    return Shape(**{**vars(shape), "tied": True})


def _short(shape: Shape, ctx_train: int) -> Shape:
    return Shape(**{**vars(shape), "ctx_train": ctx_train})


PUBLISHED: Mapping[str, Shape] = {
    "llama-2-7b": _short(_llama(32, 4096, 11008, 32, 32, 32000), 4096),
    "llama-2-13b": _short(_llama(40, 5120, 13824, 40, 40, 32000), 4096),
    "llama-2-70b": _short(_llama(80, 8192, 28672, 64, 8, 32000), 4096),
    "llama-3-8b": _short(_llama(32, 4096, 14336, 32, 8, 128256), 8192),
    "llama-3.1-8b": _llama(32, 4096, 14336, 32, 8, 128256),
    "llama-3.2-1b": _tied(_llama(16, 2048, 8192, 32, 8, 128256)),
    "llama-3.2-3b": _tied(_llama(28, 3072, 8192, 24, 8, 128256)),
    "llama-3.3-70b": _llama(80, 8192, 28672, 64, 8, 128256),
    "mistral-7b-v0.3": _short(_llama(32, 4096, 14336, 32, 8, 32768), 32768),
    "tinyllama-1.1b": _short(_llama(22, 2048, 5632, 32, 4, 32000), 2048),
    "smollm2-1.7b": _short(_tied(_llama(24, 2048, 8192, 32, 32, 49152)), 8192),
    "qwen2.5-0.5b": _qwen2(24, 896, 4864, 14, 2, True),
    "qwen2.5-1.5b": _qwen2(28, 1536, 8960, 12, 2, True),
    "qwen2.5-3b": _qwen2(36, 2048, 11008, 16, 2, True),
    "qwen2.5-7b": _qwen2(28, 3584, 18944, 28, 4, False),
    "qwen3-0.6b": _qwen3(28, 1024, 3072, 16, True),
    "qwen3-1.7b": _qwen3(28, 2048, 6144, 16, True),
    "qwen3-4b": _qwen3(36, 2560, 9728, 32, True),
    "qwen3-8b": _qwen3(36, 4096, 12288, 32, False),
    "qwen3-14b": _qwen3(40, 5120, 17408, 40, False),
    "qwen3-30b-a3b": Shape("qwen3moe", 2048, 151936, 48, 32, 4, 128, 768, 128, 8, ctx_train=40960),
}
"""Published models (the config.json of each), by the names that `bramble cluster plan` takes."""


@dataclass(frozen=True)
class Parts:
    """A GGUF file's bytes, as they lie on boards: looked up, of one layer, and the output's matrix.

    `read` is what a token reads of all layers. `about` says why they are not the file's own.
    """

    embedding: int
    layer: int
    output: int
    read: int
    about: str = ""


def of_header(header: Header) -> Shape | None:
    """Return the dimensions in a header; None where layers have different heads, or none."""
    read = Keys(header)
    heads, groups = (
        set(read.each(f"attention.{key}", 0)) for key in ("head_count", "head_count_kv")
    )
    if len(heads) > 1 or len(groups) > 1 or not min(heads):
        return None
    count, embedding = heads.pop(), read.number("embedding_length")
    width = read.size("attention.key_length", embedding // count)
    experts = read.size("expert_count")
    ff = max(read.each("feed_forward_length", 0))
    table = next(one for one in header.tensors if one.name == "token_embd.weight")
    return Shape(
        arch=read.arch,
        embedding=embedding,
        vocabulary=table.shape[1],
        layers=read.layers,
        heads=count,
        kv_heads=groups.pop() or count,
        head_dim=width,
        feed_forward=max(read.each("expert_feed_forward_length", ff)) if experts else ff,
        experts=experts,
        experts_used=read.size("expert_used_count"),
        tied=all(one.name != "output.weight" for one in header.tensors),
        ctx_train=read.number("context_length"),
    )


def matching(model: Geometry) -> Shape | None:
    """Return the published dimensions that a model without numbers of heads has; None for others."""
    found = {
        shape
        for shape in PUBLISHED.values()
        if (model.arch, model.embedding, model.vocabulary) == _key(shape)
        and {(one.key, one.query, one.feed_forward) for one in model.layers} == {_widths(shape)}
        and len(model.layers) == shape.layers
        and model.experts_used == shape.experts_used
    }
    if len({(shape.heads, shape.kv_heads, shape.tied) for shape in found}) != 1:
        return None
    return min(found, key=lambda shape: shape.ctx_train)


def _key(shape: Shape) -> tuple[str, int, int]:
    return shape.arch, shape.embedding, shape.vocabulary


def _widths(shape: Shape) -> tuple[int, int, int]:
    key, query = shape.kv_heads * shape.head_dim, shape.heads * shape.head_dim
    return key, query, shape.feed_forward


def as_q4(shape: Shape) -> tuple[Geometry, Parts]:
    """Return the GGUF file that these dimensions make with every matrix in Q4_0."""
    key, query, ff = _widths(shape)
    head, layer = q4_bytes(shape.head), q4_bytes(shape.layer)
    matrices = head + shape.layers * layer + (0 if shape.tied else head)
    read = q4_bytes(shape.read_layers)
    geometry = Geometry(
        arch=shape.arch,
        embedding=shape.embedding,
        vocabulary=shape.vocabulary,
        ctx_train=shape.ctx_train,
        window=0,
        experts_used=shape.experts_used,
        layers=(Layer(key, key, query, ff, 0, False),) * shape.layers,
        weights=Weights(
            file_bytes=matrices,
            active_bytes=read + head,
            active_elements=shape.read_layers + shape.head,
            repacked_bytes=matrices - (0 if shape.tied else head),
            twice_bytes=head if shape.tied else 0,
        ),
    )
    about = "every matrix as Q4_0, computed from the published dimensions"
    return geometry, Parts(head, layer, head, read, about)


def parts_of_header(header: Header, model: Geometry) -> Parts:
    """Return the parts of a file, by its tensors."""
    sizes = {one.name: one.nbytes for one in header.tensors}
    embedding = sizes["token_embd.weight"]
    output = sizes.get("output.weight", embedding)
    layers = sum(size for name, size in sizes.items() if name.startswith("blk."))
    read = model.weights.active_bytes - output
    return Parts(embedding, -(-layers // len(model.layers)), output, read)


Q6_NUMERATOR, Q6_DENOMINATOR = 210, 256
"""Bytes of a block of Q6_K, and its weights: what llama-quantize makes of most output matrices."""


def parts_about(model: Geometry) -> Parts:
    """Return about the same of a file of which only sums are known.

    An output's matrix is taken for Q6_K, or for what the other weights are where that is more.
    """
    sums, head = model.weights, model.embedding * model.vocabulary
    usual = head * sums.active_bytes // max(sums.active_elements, 1)
    output = sums.twice_bytes or min(
        max(head * Q6_NUMERATOR // Q6_DENOMINATOR, usual), sums.active_bytes // 2
    )
    # A dense model with an output of its own looks its embedding up, and reads all the rest.
    looked_up = sums.file_bytes - sums.active_bytes
    untied = not sums.twice_bytes and looked_up > 0
    embedding = looked_up if untied and not model.experts_used else output
    layers = sums.file_bytes - embedding - (output if untied else 0)
    return Parts(
        embedding=embedding,
        layer=-(-layers // len(model.layers)),
        output=output,
        read=sums.active_bytes - output,
        about="the file's sums; its output matrix is taken for Q6_K, which llama-quantize makes",
    )
