"""A model of random weights in one quantized type, large enough for kernels to be what takes time."""

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

KINDS = "tokenizer.ggml.token_type"
WIDTH, WIDER, LAYERS, HEADS, TOKENS = 1024, 2816, 8, 16, 8192
# Bytes of a block, the weights in it, and how many half-precision scales begin it.
BLOCKS = {"Q4_0": (18, 32, 1), "Q8_0": (34, 32, 1), "Q4_K": (144, 256, 2)}


def write(path: Path, kind: str, like: Path | None = None) -> Path:
    """The model's file; the same bytes every time, and nothing where it is there already.

    With the tokenizer of another model it can be talked to, and answers at random with visible tokens.
    """
    if path.exists():
        return path
    writer = gguf.GGUFWriter(path.with_suffix(".new"), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    fields = gguf.GGUFReader(like).fields if like else {}
    kinds = fields[KINDS].contents() if fields else [gguf.TokenType.NORMAL] * TOKENS
    writer.add_vocab_size(len(kinds))
    _add_tokenizer(writer, fields)
    source = np.random.default_rng(1)
    for name, rows, columns in _tensors(len(kinds)):
        if rows == 1:
            writer.add_tensor(name, np.ones(columns, dtype=np.float32))
        else:
            raw = getattr(gguf.GGMLQuantizationType, kind)
            made = _blocks(source, kind, rows, columns)
            if name == "output.weight":
                made[[kind != gguf.TokenType.NORMAL for kind in kinds]] = 0
            writer.add_tensor(name, made, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path.with_suffix(".new").rename(path)
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, fields: Mapping[str, gguf.ReaderField]) -> None:
    """Add the tokenizer of another model's metadata, none without it."""
    for name, field in fields.items():
        if name.startswith("tokenizer."):
            value = field.contents()
            if isinstance(value, list):
                writer.add_array(name, value)
            else:
                writer.add_key_value(name, value, field.types[0])
    if not fields:
        writer.add_tokenizer_model("no_vocab")


def _tensors(tokens: int) -> list[tuple[str, int, int]]:
    """Every tensor of a small llama with its rows and columns; one row is a norm's."""
    found = [("token_embd.weight", tokens, WIDTH)]
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        found += [(f"{block}.{name}_norm.weight", 1, WIDTH) for name in ("attn", "ffn")]
        found += [
            (f"{block}.attn_{name}.weight", WIDTH, WIDTH) for name in ("q", "k", "v", "output")
        ]
        found += [(f"{block}.ffn_{name}.weight", WIDER, WIDTH) for name in ("gate", "up")]
        found.append((f"{block}.ffn_down.weight", WIDTH, WIDER))
    return [*found, ("output_norm.weight", 1, WIDTH), ("output.weight", tokens, WIDTH)]


def _blocks(source: np.random.Generator, kind: str, rows: int, columns: int) -> np.ndarray:
    """Random weights with small scales, as the type lays them out."""
    size, weights, scales = BLOCKS[kind]
    made = source.integers(0, 256, (rows * columns // weights, size), dtype=np.uint8)
    made[:, : 2 * scales] = np.frombuffer(np.full(scales, 0.002, np.float16).tobytes(), np.uint8)
    return made.reshape(rows, columns // weights * size)
