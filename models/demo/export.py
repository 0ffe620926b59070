"""Write the trained weights as GGUF: F16 as the master, Q8_0 made from the same F16 values."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from model import Llama
from tokenizer import BOS, BYTES, CHAT_TEMPLATE, CONTROLS, END, UNKNOWN, Tokenizer

FILE_TYPES = {
    gguf.GGMLQuantizationType.F16: gguf.LlamaFileType.MOSTLY_F16,
    gguf.GGMLQuantizationType.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
}


def write_gguf(
    path: Path, model: Llama, tokenizer: Tokenizer, kind: gguf.GGMLQuantizationType
) -> None:
    """Write model and tokenizer to one file, its matrices as `kind`, its norms as F32."""
    writer = gguf.GGUFWriter(path, "llama")
    _add_facts(writer, model)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_tokenizer(writer, tokenizer)
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            # Through F16 first: quantizing the master with llama-quantize gives the same blocks.
            master = values.astype(np.float16).astype(np.float32)
            writer.add_tensor(name, quantize(master, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_facts(writer: gguf.GGUFWriter, model: Llama) -> None:
    shape = model.shape
    writer.add_name("bramble-demo")
    writer.add_description(
        "a tiny model for trials and tests: short sums, labels, summaries, facts"
    )
    writer.add_license("MIT")
    writer.add_context_length(shape.ctx)
    writer.add_embedding_length(shape.embd)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ff)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocab)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    kinds = [gguf.TokenType.NORMAL] * len(tokenizer.pieces)
    kinds[: len(CONTROLS)] = [gguf.TokenType.CONTROL] * len(CONTROLS)
    kinds[UNKNOWN] = gguf.TokenType.UNKNOWN
    kinds[len(CONTROLS) : len(CONTROLS) + len(BYTES)] = [gguf.TokenType.BYTE] * len(BYTES)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokenizer.pieces)
    writer.add_token_scores(tokenizer.scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(END)
    writer.add_eot_token_id(END)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
