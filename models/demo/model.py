"""The demo model itself: a llama (RMSNorm, interleaved RoPE, grouped heads, SwiGLU), in PyTorch.

The names of the parameters are GGUF's, and the RoPE rotates neighbouring pairs as llama.cpp does,
so that the export copies tensors and permutes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """The sizes of the model; the two row lengths are multiples of 256 for the K-quants."""

    vocab: int
    embd: int = 256
    ff: int = 512
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ctx: int = 512
    rope_base: float = 10000.0
    norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """The length of one head's vectors."""
        return self.embd // self.heads


def rope_angles(shape: Shape) -> Tensor:
    """Return cos and sin for every position and pair: [2, ctx, head_dim / 2]."""
    pairs = torch.arange(0, shape.head_dim, 2, dtype=torch.float32)
    angles = torch.outer(torch.arange(shape.ctx), shape.rope_base ** (-pairs / shape.head_dim))
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn neighbouring pairs of x [batch, heads, tokens, head_dim] by their position's angles."""
    cos, sin = angles[:, : x.shape[2]]
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2).type_as(x)


class Block(nn.Module):
    """One layer: attention, then the feed-forward, each on a normed copy and added back."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv_size = shape.kv_heads * shape.head_dim
        self.attn_norm = nn.RMSNorm(shape.embd, shape.norm_eps)
        self.attn_q = nn.Linear(shape.embd, shape.embd, bias=False)
        self.attn_k = nn.Linear(shape.embd, kv_size, bias=False)
        self.attn_v = nn.Linear(shape.embd, kv_size, bias=False)
        self.attn_output = nn.Linear(shape.embd, shape.embd, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.embd, shape.norm_eps)
        self.ffn_gate = nn.Linear(shape.embd, shape.ff, bias=False)
        self.ffn_up = nn.Linear(shape.embd, shape.ff, bias=False)
        self.ffn_down = nn.Linear(shape.ff, shape.embd, bias=False)

    def forward(self, x: Tensor, angles: Tensor, visible: Tensor) -> Tensor:
        """Map x [batch, tokens, embd]; visible [batch, 1, tokens, tokens] says who sees whom."""
        x = x + self._attend(self.attn_norm(x), angles, visible)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))

    def _attend(self, h: Tensor, angles: Tensor, visible: Tensor) -> Tensor:
        batch, tokens, _ = h.shape
        q, k, v = (
            part.view(batch, tokens, -1, self.shape.head_dim).transpose(1, 2)
            for part in (self.attn_q(h), self.attn_k(h), self.attn_v(h))
        )
        groups = self.shape.heads // self.shape.kv_heads
        q, k = rotate(q, angles), rotate(k, angles)
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        # Written out: for rows this short it trains faster than PyTorch's fused attention.
        scores = (q @ k.transpose(2, 3)) * self.shape.head_dim**-0.5
        mixed = scores.masked_fill(~visible, -torch.inf).softmax(-1).type_as(v) @ v
        return self.attn_output(mixed.transpose(1, 2).reshape(batch, tokens, -1))


class Llama(nn.Module):
    """The whole model; the output matrix is the embedding, as GGUF allows by leaving it out."""

    angles: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocab, shape.embd)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.embd, shape.norm_eps)
        self.register_buffer("angles", rope_angles(shape), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                into_residual = name.endswith(("attn_output.weight", "ffn_down.weight"))
                scale = (2 * shape.layers) ** -0.5 if into_residual else 1.0
                nn.init.normal_(parameter, std=0.04 * scale)

    def hidden(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Return the last hidden states [batch, tokens, embd] of token ids [batch, tokens]."""
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, self.angles, visible)
        return self.output_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of every next token for hidden states [..., embd]."""
        return F.linear(hidden, self.token_embd.weight)
