"""What goes over the network for a token, and how often a node waits for another one.

A wait is the delay of one way. Bytes are those that one node sends, and that come into the root besides.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.cluster.memory import F32, Q80
from bramble.cluster.shapes import Shape

GIGABIT_MB_S = 117.0
"""What a gigabit carries of data over TCP."""
DELAY_MS = 0.12
"""One way between two boards at a gigabit: the project's assumption, not measured on Pis."""

RPC_WAITS = 2.3
"""Of a server, for a token, with layers split: measured with relays that delay."""
TENSOR_WAITS = 10
"""Of a layer, with tensors split between two servers: measured alike."""
TENSOR_LAYER_BYTES = 879_000 // 4
"""Sent by the client for a layer, two servers: whole sub-graphs, of a model 256 wide."""
TENSOR_MEASURED_WIDTH = 256


@dataclass(frozen=True)
class Traffic:
    """What a token costs the network; `most_bytes` is above `sent_bytes` where only bounds are known."""

    sent_bytes: int
    most_bytes: int
    root_receives_bytes: int
    waits: float

    @property
    def wire_bytes(self) -> tuple[int, int]:
        """The bytes that take time one after another."""
        more = self.root_receives_bytes
        return self.sent_bytes + more, self.most_bytes + more


def mesh(shape: Shape, nodes: int) -> Traffic:
    """Return distributed-llama's traffic since 0.12: every node sends its slice to every other one."""
    sent = int(2 * shape.layers * (nodes - 1) * shape.embedding * Q80)
    logits = F32 * shape.vocabulary * (nodes - 1) // nodes
    return Traffic(sent, sent, logits, 2 * shape.layers + 2 if nodes > 1 else 0)


def rpc_layers(embedding: int, vocabulary: int, servers: int) -> Traffic:
    """Return RPC's traffic with layers split: a token's numbers go through every server in turn."""
    # To and from each server; the last one's logits come back too.
    sent = 2 * F32 * embedding * servers
    return Traffic(sent, sent, F32 * vocabulary, RPC_WAITS * servers)


def rpc_tensor(shape: Shape) -> Traffic:
    """Return RPC's traffic with tensors split between two: at most with a wider token in each wait."""
    least = TENSOR_LAYER_BYTES * shape.layers
    wider = max(shape.embedding - TENSOR_MEASURED_WIDTH, 0)
    most = least + TENSOR_WAITS * F32 * wider * shape.layers
    return Traffic(least, most, 0, TENSOR_WAITS * shape.layers)
