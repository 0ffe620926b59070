"""What distributed-llama takes on each node, and which numbers of nodes a model can be split among.

The formulas are those of its network builder at commit 8d624a7b1f9a, for q40 weights and q80 buffers:
its own line "RequiredMemory", in MiB, is what `required_bytes` gives, rounded down.
"""

from __future__ import annotations

from collections.abc import Iterator

from bramble.cluster.shapes import Shape

BATCH = 32
"""Tokens of a prompt at once: fixed there."""
F32 = 4
Q40 = 18 / 32
"""Bytes of a weight."""
Q80 = 34 / 32
"""Bytes of a number that nodes send each other."""
BLOCK = 32
"""Numbers in a block of q40 and of q80: slices are whole blocks."""

ARCHITECTURES = ("llama", "qwen3", "qwen3moe")
"""What it loads; Mistral is a llama."""

BESIDE_MIB = 7
"""Resident memory after loading, above what it says: 5 to 7 MiB."""
LOADING_MIB = 40
"""What a worker takes besides while slices arrive, at most."""


def required_bytes(shape: Shape, nodes: int, node: int, seq_len: int) -> float:
    """Return what the program asks for on a node; node 0 is the root, which has the embedding too."""
    root = F32 * shape.vocabulary * shape.embedding if node == 0 else 0
    kept = kv_bytes(shape, nodes, seq_len)
    return root + _weights(shape, nodes) + kept + _buffers(shape, nodes, node, seq_len)


def kv_bytes(shape: Shape, nodes: int, seq_len: int) -> float:
    """Return keys and values of a node: 32-bit numbers, whatever the weights are."""
    return 2 * F32 * shape.layers * seq_len * shape.kv_heads * shape.head_dim / nodes


def file_bytes(shape: Shape) -> float:
    """Return the size of the model's file without its header: the embedding has 32 bits a number."""
    return F32 * shape.vocabulary * shape.embedding + _weights(shape, 1)


def _weights(shape: Shape, nodes: int) -> float:
    d = shape.embedding
    norms = 2 * F32 * d + F32 * d * shape.experts
    if _normed(shape):
        norms += 2 * F32 * shape.head_dim
    layers = shape.layers * (Q40 * shape.layer / nodes + norms)
    return layers + F32 * d + Q40 * shape.head / nodes


def _normed(shape: Shape) -> bool:
    """Return whether queries and keys have norms of their own."""
    return shape.arch.startswith("qwen3")


def _buffers(shape: Shape, nodes: int, node: int, seq_len: int) -> float:
    """Return pipes and buffers; what a mixture has besides, a dense model has with one expert."""
    d, v, f = shape.embedding, shape.vocabulary, shape.feed_forward
    q, k = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    rows = 2 * F32 + F32 * (d + v) + Q80 * d * nodes
    rows += 2 * F32 * d + Q80 * d + F32 * q
    rows += (Q80 * q + F32 * q + 2 * F32 * k + F32 * shape.heads * seq_len) / nodes
    rows += (F32 * v + (2 * F32 + Q80) * f) / nodes
    rows += F32 * (max(shape.experts, 1) + shape.experts_at_once)
    wide = F32 * d + Q80 * d + (2 * F32 + Q80) * f / nodes + F32
    rows += shape.experts_at_once * wide
    if _normed(shape):
        rows += F32 * max(shape.heads, shape.kv_heads) / nodes
        return BATCH * rows + F32 * seq_len * shape.head_dim
    rope = F32 * seq_len * (q * (node + 1) - k * node) / nodes
    return BATCH * (rows + F32) + rope


def needed_mib(shape: Shape, nodes: int, node: int, seq_len: int) -> int:
    """Return what a node must have, with what loading takes; workers are counted as the last one."""
    last = required_bytes(shape, nodes, node and nodes - 1, seq_len)
    return -(-int(last) >> 20) + (LOADING_MIB if node else BESIDE_MIB)


def obstacles(shape: Shape, nodes: int) -> Iterator[str]:
    """Yield why a model cannot be split among so many nodes."""
    if shape.arch not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        yield f"it loads {known}, and this model is {shape.arch}"
    elif shape.experts and shape.arch != "qwen3moe":
        yield f"of mixtures of experts it loads qwen3moe, and this model is {shape.arch}"
    whole = {
        "KV heads": shape.kv_heads,
        "heads": shape.heads,
        "the feed-forward width": shape.feed_forward,
        "the vocabulary": shape.vocabulary,
    }
    uneven = [f"{name} ({number})" for name, number in whole.items() if number % nodes]
    if uneven:
        yield f"{', '.join(uneven)} cannot be divided by {nodes}"
        return
    blocks = {
        "the width": shape.embedding,
        "a node's share of the heads": shape.heads * shape.head_dim // nodes,
        "a node's share of the feed-forward width": shape.feed_forward // nodes,
    }
    for name, number in blocks.items():
        if number % BLOCK:
            yield f"{name} ({number}) is not a multiple of {BLOCK}"


def allowed(shape: Shape, most: int = 16) -> tuple[int, ...]:
    """Return the numbers of nodes that a model can be split among."""
    return tuple(n for n in range(1, most + 1) if not any(obstacles(shape, n)))
