"""What llama.cpp takes for a model: weights, cache, compute buffer, copies for later turns.

The formulas are those of the pinned llama.cpp: the cache of src/llama-kv-cache*.cpp and
src/llama-memory-recurrent.cpp to the byte, the compute buffer as the largest of the moments that
ggml's allocator must provide for, which tests compare with `llama-fit-params`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bramble.models.geometry import Geometry
from bramble.models.gguf import TYPES, Type
from bramble.models.layers import Layer

if TYPE_CHECKING:
    # It is a section of models.lock, whose parser takes long to load.
    from bramble.models.projector import Projector

# Both sizes are padded by llama.cpp (src/llama-context.cpp, src/llama-kv-cache-iswa.cpp).
CELLS = 256
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
"""The values that the pinned llama-server accepts for -ctk and -ctv."""

NARROWEST_HEAD = 32
"""The width of the narrowest heads of published models; a header's number of heads is not kept."""

_BY_NAME = {kind.name.lower(): kind for kind in TYPES.values()}
_F32 = 4
_MASK = 2


@dataclass(frozen=True)
class Request:
    """How a model is served.

    `drafted` is how many tokens of a conversation are guessed at once, `tables_bytes` the size of what
    they are guessed by, and `draft` the model that guesses them. `projector` makes tokens of images, of
    which those of any size have at most `image_tokens`.
    """

    ctx: int
    slots: int = 1
    ubatch: int = 128
    type_k: CacheType = "f16"
    type_v: CacheType = "f16"
    cache_ram_mib: int = 0
    checkpoints: int = 4
    flash: bool = True
    locked: bool = False
    vectors: bool = False
    drafted: int = 0
    tables_bytes: int = 0
    draft: Geometry | None = None
    projector: Projector | None = None
    image_tokens: int = 512

    @property
    def cells(self) -> int:
        """The tokens of one conversation, as llama.cpp rounds them up."""
        return _padded(_padded(self.ctx) // self.slots)

    @property
    def tokens(self) -> int:
        """The tokens computed at once."""
        most = min(self.cells * self.slots, self.ubatch)
        return -(-most // self.slots) * self.slots


def drafting(request: Request) -> Request:
    """Return how the model that guesses is served beside the other one (common/speculative.cpp).

    It has the same conversations, the same copies of them to go back to, and one token's results.
    """
    copies = request.checkpoints + (1 if request.drafted else 0)
    alone = replace(request, draft=None, projector=None)
    return replace(alone, drafted=0, tables_bytes=0, checkpoints=copies)


def kv_bytes(model: Geometry, request: Request) -> int:
    """Return the bytes of all keys and values, and of every conversation's recurrent state."""
    key, value = _BY_NAME[request.type_k], _BY_NAME[request.type_v]
    kept = sum(
        _cells(model, layer, request) * (_bytes(key, layer.key) + _bytes(value, layer.value))
        for layer in model.layers
    )
    return request.slots * (kept + _state_bytes(model))


def compute_bytes(model: Geometry, request: Request) -> int:
    """Return the compute buffer: the most that any moment of a prompt's computation needs.

    llama-fit-params reserves room for the logits of a whole micro-batch, and so does this;
    llama-server asks for one token's in a conversation and takes less.
    """
    row = _F32 * request.tokens
    wide = row * model.embedding
    masks = {_cells(model, layer, request) for layer in model.layers if layer.key}
    mask = _MASK * request.tokens * sum(masks)
    moments = [row * model.vocabulary + 4 * wide + min(mask, wide)]
    for layer in model.layers:
        used = max(model.experts_used, 1)
        scattered = used * wide if model.experts_used else 0
        moments.append(mask + 4 * wide + scattered + 3 * row * layer.feed_forward * used)
        scores = 0 if request.flash else row * _cells(model, layer, request) * _heads(layer)
        attended = 3 * layer.query + layer.key + layer.value
        moments.append(mask + 2 * wide + row * attended + scores)
    return max(moments)


def output_bytes(model: Geometry, request: Request) -> int:
    """Return the results of a batch beside the compute buffer: of vectors, those of each token.

    llama_context::output_reserve of src/llama-context.cpp has room for logits too, which nobody reads.
    Of guesses there are the logits of each guessed token, and of the one before, and their tables.
    """
    if request.vectors:
        return _F32 * request.ubatch * (model.vocabulary + model.embedding)
    guessed = request.slots * (1 + request.drafted) if request.drafted else 0
    return _F32 * min(guessed, request.ubatch) * model.vocabulary + request.tables_bytes


def checkpoint_bytes(model: Geometry, request: Request) -> int:
    """Return the copies of what cannot be rolled back, which llama-server keeps for later turns.

    There are --ctx-checkpoints of them for each conversation (32 by default), each with the windows
    and the recurrent states; a model that has neither makes none. Guesses need one more, to go back to.
    """
    copies = request.checkpoints + (1 if request.drafted else 0)
    key, value = _BY_NAME[request.type_k], _BY_NAME[request.type_v]
    windows = sum(
        _cells(model, layer, request) * (_bytes(key, layer.key) + _bytes(value, layer.value))
        for layer in model.layers
        if layer.windowed
    )
    return request.slots * copies * (windows + _state_bytes(model))


def _cells(model: Geometry, layer: Layer, request: Request) -> int:
    if not layer.windowed:
        return request.cells
    return _padded(min(request.cells, model.window + request.ubatch))


def _heads(layer: Layer) -> int:
    """Return the most heads that a layer's queries can be of."""
    return -(-layer.query // NARROWEST_HEAD) if layer.key else 0


def _state_bytes(model: Geometry) -> int:
    return _F32 * sum(layer.state for layer in model.layers)


def _bytes(kind: Type, elements: int) -> int:
    return -(-elements // kind.block) * kind.size


def _padded(cells: int) -> int:
    return -(-cells // CELLS) * CELLS
