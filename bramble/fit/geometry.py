"""What of a model its memory depends on, read from its header as the pinned llama.cpp reads it.

Per-layer values follow `llama_model_base::load_hparams` (src/llama-model.cpp), the layers with a
sliding window and those with a recurrent state the `load_arch_hparams` of src/models/.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.fit.weights import Weights, weights
from bramble.gguf import GgufError, Header

COMPARED = frozenset(
    [
        "deci",
        "gemma2",
        "gemma3",
        "lfm2",
        "llama",
        "olmoe",
        "phi3",
        "qwen2",
        "qwen3",
        "qwen35",
        "qwen3moe",
    ]
)
"""The architectures whose figures the tests hold against llama-fit-params."""

# One layer in so many has no window (`load_swa_pattern`), where the file does not say which.
_WINDOW_PATTERN = {"gemma2": 2, "gemma3": 6}
_WINDOW_DEFAULT = {"gemma2": 4096}
# One layer in so many has attention, the others a recurrent state.
_FULL_ATTENTION_INTERVAL = {"qwen35": 4, "qwen35moe": 4, "qwen3next": 4}
_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
# Their loaders take the first layer's widths for all, and refuse a file with others.
_UNIFORM = COMPARED - {"deci", "lfm2"}
LAYERS_LIMIT = 1024
NUMBER_LIMIT = 1 << 31


class GeometryError(GgufError):
    """A header that is well formed and yet does not describe a model that llama.cpp can run."""


@dataclass(frozen=True)
class Layer:
    """One layer, in numbers of elements: what it keeps for a token, and for a conversation."""

    key: int
    value: int
    query: int
    feed_forward: int
    state: int
    windowed: bool


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

    @property
    def compared(self) -> bool:
        """Whether the tests hold this architecture against llama-fit-params."""
        return self.arch in COMPARED


def geometry(header: Header) -> Geometry:
    """The dimensions that a header gives, all within bounds."""
    read = _Keys(header)
    vocabulary, embedding = _embedding(header, read)
    window = read.number("attention.sliding_window", _WINDOW_DEFAULT.get(read.arch, 0), least=0)
    experts_used = max(read.each("expert_used_count", 0))
    return Geometry(
        arch=read.arch,
        embedding=embedding,
        vocabulary=vocabulary,
        ctx_train=read.number("context_length"),
        window=window if read.arch in _WINDOW_PATTERN else 0,
        experts_used=experts_used,
        layers=tuple(_layers(read, embedding, window)),
        weights=weights(header.tensors, experts_used),
    )


class _Keys:
    """The architecture's keys, each a number or a number for each layer."""

    def __init__(self, header: Header) -> None:
        self.metadata = header.metadata
        arch = self.metadata.get("general.architecture")
        if not isinstance(arch, str) or not arch:
            raise GeometryError("The header does not say the model's architecture.")
        if arch == "clip":
            raise GeometryError("The file is a projector for images: it goes beside a model.")
        self.arch = arch
        self.layers = 1
        self.layers = self.number("block_count", limit=LAYERS_LIMIT)

    def number(
        self, key: str, default: int | None = None, *, least: int = 1, limit: int = NUMBER_LIMIT
    ) -> int:
        """A number that holds for the whole model."""
        return self._checked(key, self.metadata.get(f"{self.arch}.{key}", default), least, limit)

    def each(self, key: str, default: int | None = None) -> list[int]:
        """A number for each layer."""
        value = self.metadata.get(f"{self.arch}.{key}", default)
        values = value if isinstance(value, tuple) else (value,) * self.layers
        if len(values) < self.layers:
            raise GeometryError(
                f"{self.arch}.{key} has {len(values)} values for {self.layers} layers."
            )
        found = [self._checked(key, one, 0, NUMBER_LIMIT) for one in values[: self.layers]]
        if self.arch in _UNIFORM and len(set(found)) > 1:
            raise GeometryError(
                f"{self.arch}.{key} differs from layer to layer, and llama.cpp's loader of {self.arch} "
                "takes the first layer's for all: it refuses this file with 'wrong shape'."
            )
        return found

    def flags(self, key: str) -> tuple[bool, ...] | None:
        """A yes or no for each layer, where the file has them."""
        value = self.metadata.get(f"{self.arch}.{key}")
        if not isinstance(value, tuple) or len(value) < self.layers:
            return None
        return tuple(bool(one) for one in value)

    def _checked(self, key: str, value: object, least: int, limit: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= limit:
            raise GeometryError(
                f"{self.arch}.{key} is {value!r}; a whole number from {least} to {limit} is right: "
                "the header is damaged, or of an architecture that bramble cannot plan for."
            )
        return value


def _embedding(header: Header, read: _Keys) -> tuple[int, int]:
    """The vocabulary's size and the embedding's width, by the matrix that holds them."""
    found = next((one for one in header.tensors if one.name == "token_embd.weight"), None)
    if found is None or len(found.shape) != 2:
        raise GeometryError("The file has no token embedding: it is no language model.")
    width = read.number("embedding_length")
    if found.shape[0] != width:
        raise GeometryError(
            f"The token embedding is {found.shape[0]} wide, and {read.arch}.embedding_length {width}."
        )
    return found.shape[1], width


def _layers(read: _Keys, embedding: int, window: int) -> list[Layer]:
    heads = read.each("attention.head_count", 0)
    groups = read.each("attention.head_count_kv", max(heads))
    widths = read.each("feed_forward_length", 0)
    expert = read.number("expert_feed_forward_length", max(widths), least=0)
    experts = read.number("expert_count", 0, least=0)
    usual = embedding // max(heads[0], 1)
    key = read.number("attention.key_length", usual, least=0)
    value = read.number("attention.value_length", usual, least=0)
    recurrent = _recurrent(read, groups)
    windowed = _windowed(read, window)
    state = _state(read, embedding)
    return [
        Layer(
            key=0 if recurrent[i] else key * groups[i],
            value=0 if recurrent[i] else value * groups[i],
            query=key * heads[i],
            feed_forward=expert if experts else widths[i],
            state=state if recurrent[i] else 0,
            windowed=windowed[i],
        )
        for i in range(read.layers)
    ]


def _recurrent(read: _Keys, groups: list[int]) -> list[bool]:
    """Which layers keep a state of a fixed size instead of keys and values."""
    given = read.flags("attention.recurrent_layers")
    if given:
        return list(given[: read.layers])
    if read.arch in _RECURRENT:
        return [True] * read.layers
    if read.arch in _FULL_ATTENTION_INTERVAL:
        interval = read.number("full_attention_interval", _FULL_ATTENTION_INTERVAL[read.arch])
        trunk = read.layers - read.number("nextn_predict_layers", 0, least=0)
        return [i < trunk and (i + 1) % interval != 0 for i in range(read.layers)]
    return [count == 0 for count in groups]


def _windowed(read: _Keys, window: int) -> list[bool]:
    """Which layers see a window only; where bramble does not know, none, which counts too much."""
    if read.arch not in _WINDOW_PATTERN or window == 0:
        return [False] * read.layers
    given = read.flags("attention.sliding_window_pattern")
    if given:
        return list(given[: read.layers])
    every = _WINDOW_PATTERN[read.arch]
    return [i % every < every - 1 for i in range(read.layers)]


def _state(read: _Keys, embedding: int) -> int:
    """Elements of a recurrent layer's state (`n_embd_r` and `n_embd_s` of src/llama-hparams.cpp)."""
    head = read.number("wkv.head_size", 0, least=0)
    if head:
        return embedding * head + read.number("token_shift_count", 2) * embedding
    short = read.number("shortconv.l_cache", 0, least=0)
    if short:
        return embedding * (short - 1)
    kernel = read.number("ssm.conv_kernel", 0, least=0)
    inner = read.number("ssm.inner_size", 0, least=0)
    size = read.number("ssm.state_size", 0, least=0)
    group = read.number("ssm.group_count", 0, least=0)
    return max(kernel - 1, 0) * (inner + 2 * group * size) + size * inner
