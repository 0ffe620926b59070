"""The sums over a model's tensors: what they take, and what one token needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bramble.models.gguf import Tensor

# Types that Arm's dotprod kernels need in another order (ggml-cpu/repack.cpp): such weights are copied
# from the mapped file into memory of the process.
REPACKED = frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4", "Q1_0"})
_EMBEDDING = "token_embd.weight"
_TABLE = "per_layer_token_embd.weight"
# Tables of which a token reads one row.
_LOOKED_UP = frozenset({_EMBEDDING, _TABLE})
# Larger tables are read a row at a time (`lazy_read::add` of src/llama-model-loader.cpp).
LAZY_FROM_BYTES = 4 << 30


@dataclass(frozen=True)
class Weights:
    """All tensors of a model.

    `active_bytes` and `active_elements` are those that one token is multiplied with: the chosen
    experts of a mixture, and no tables that are looked up. `repacked_bytes` is what a processor with
    dotprod copies out of the file, and `twice_bytes` the part of it that also stays in the file: a
    token embedding that is the output too is looked up in the file and multiplied from the copy.
    `lazy_bytes` are read from the file a row at a time, and need not lie in memory.
    """

    file_bytes: int
    active_bytes: int
    active_elements: int
    repacked_bytes: int
    twice_bytes: int
    lazy_bytes: int = 0


def weights(tensors: Sequence[Tensor], experts_used: int) -> Weights:
    """Sum up a header's tensors."""
    tied = all(tensor.name != "output.weight" for tensor in tensors)
    active = [_active(tensor, experts_used, tied) for tensor in tensors]
    copied = [
        tensor
        for tensor in tensors
        if tensor.type.name in REPACKED
        and len(tensor.shape) > 1
        and (tensor.name not in _LOOKED_UP or _is_output(tensor, tied))
    ]
    return Weights(
        file_bytes=sum(tensor.nbytes for tensor in tensors),
        active_bytes=sum(active),
        active_elements=sum(
            size // tensor.type.size * tensor.type.block
            for tensor, size in zip(tensors, active, strict=True)
        ),
        repacked_bytes=sum(tensor.nbytes for tensor in copied),
        twice_bytes=sum(tensor.nbytes for tensor in copied if _is_output(tensor, tied)),
        lazy_bytes=sum(
            tensor.nbytes
            for tensor in tensors
            if tensor.name == _TABLE and tensor.nbytes > LAZY_FROM_BYTES
        ),
    )


def _is_output(tensor: Tensor, tied: bool) -> bool:
    """Return whether the token embedding is the output's matrix too."""
    return tied and tensor.name == _EMBEDDING


def _active(tensor: Tensor, experts_used: int, tied: bool) -> int:
    """Return the bytes of a tensor that are read for one token."""
    if tensor.name in _LOOKED_UP and not _is_output(tensor, tied):
        return 0
    if "_exps." in tensor.name and tensor.shape and experts_used:
        return tensor.nbytes * min(experts_used, tensor.shape[-1]) // max(tensor.shape[-1], 1)
    return tensor.nbytes
