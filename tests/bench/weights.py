"""A model of random weights in one quantized type, large enough for kernels to be what takes time."""

from pathlib import Path

import gguf
import numpy as np

WIDTH, WIDER, LAYERS, HEADS, TOKENS = 1024, 2816, 8, 16, 8192
# Bytes of a block, the weights in it, and how many half-precision scales begin it.
BLOCKS = {"Q4_0": (18, 32, 1), "Q8_0": (34, 32, 1), "Q4_K": (144, 256, 2)}


def write(path: Path, kind: str) -> Path:
    """The model's file; the same bytes every time, and nothing where it is there already."""
    if path.exists():
        return path
    writer = gguf.GGUFWriter(path.with_suffix(".new"), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDER)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(TOKENS)
    writer.add_tokenizer_model("no_vocab")
    source = np.random.default_rng(1)
    for name, rows, columns in _tensors():
        if rows == 1:
            writer.add_tensor(name, np.ones(columns, dtype=np.float32))
        else:
            raw = getattr(gguf.GGMLQuantizationType, kind)
            writer.add_tensor(name, _blocks(source, kind, rows, columns), raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path.with_suffix(".new").rename(path)
    return path


def _tensors() -> list[tuple[str, int, int]]:
    """Every tensor of a small llama with its rows and columns; one row is a norm's."""
    found = [("token_embd.weight", TOKENS, WIDTH)]
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        found += [(f"{block}.{name}_norm.weight", 1, WIDTH) for name in ("attn", "ffn")]
        found += [
            (f"{block}.attn_{name}.weight", WIDTH, WIDTH) for name in ("q", "k", "v", "output")
        ]
        found += [(f"{block}.ffn_{name}.weight", WIDER, WIDTH) for name in ("gate", "up")]
        found.append((f"{block}.ffn_down.weight", WIDTH, WIDER))
    return [*found, ("output_norm.weight", 1, WIDTH), ("output.weight", TOKENS, WIDTH)]


def _blocks(source: np.random.Generator, kind: str, rows: int, columns: int) -> np.ndarray:
    """Random weights with small scales, as the type lays them out."""
    size, weights, scales = BLOCKS[kind]
    made = source.integers(0, 256, (rows * columns // weights, size), dtype=np.uint8)
    made[:, : 2 * scales] = np.frombuffer(np.full(scales, 0.002, np.float16).tobytes(), np.uint8)
    return made.reshape(rows, columns // weights * size)
