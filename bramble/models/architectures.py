"""What the pinned llama.cpp's loaders decide for each architecture where a file leaves it open.

`KNOWN` is LLM_ARCH_NAMES of src/llama-arch.cpp. The others follow `load_arch_hparams` of src/models/
and `llama_model::create_memory` of src/llama-model.cpp. tests/unit/test_fit_architectures.py compares
them with the bytes that llama.cpp itself takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN = _names(
    """
    llama llama4 deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bert modern-bert
    nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert bloom stablelm qwen
    qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp
    phi2 phi3 phimoe plamo plamo2 plamo3 codeshell orion internlm2 minicpm minicpm3 gemma gemma2
    gemma3 gemma3n gemma4 gemma4-assistant gemma-embedding starcoder2 mamba mamba2 maple jamba
    falcon-h1 xverse command-r cohere2 cohere2moe dbrx olmo olmo2 olmoe muse-glimmer openelm
    arctic deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 chatglm glm4 glm4moe glm-dsa
    bitnet t5 t5encoder jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4 exaone-moe
    rwkv6 rwkv6qwen2 rwkv7 arwkv7 granite granitemoe granitehybrid graniteswitch granite_swa
    chameleon wavtokenizer-dec plm bailingmoe bailingmoe2 bailingmoe3 dots1 dots3note arcee
    afmoe laguna ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 hy_v4 smollm3
    gpt-oss lfm2 lfm2moe dream smallthinker llada llada-moe seed_oss grovemoe apertus minimax-01
    hrm_text minimax-m2 minimax-m3 cogvlm rnd1 pangu-embedded mistral3 eagle3 dflash mistral4
    paddleocr mimo2 step35 spark2_5 llama-embed maincoder kimi-linear kimi-k3 glm5-next talkie
    mellum nanbeige qwen3tts pockettts
    """
)
"""The architectures that it can load; without clip and gptj, which have no loader."""

COMPARED = _names(
    """
    afmoe apertus arcee baichuan bailingmoe bailingmoe2 bitnet bloom chatglm codeshell cohere2
    command-r deci deepseek deepseek2 dots1 ernie4_5 ernie4_5-moe exaone exaone-moe exaone4
    falcon falcon-h1 gemma gemma2 gemma3 gemma3n gemma4 glm4 glm4moe gpt-oss gpt2 gptneox
    granite granitehybrid granitemoe grovemoe hunyuan-dense hunyuan-moe internlm2 jamba laguna
    lfm2 lfm2moe llama llama4 maincoder mamba mamba2 mellum mimo2 minicpm minicpm3 minimax-m2
    mistral3 mpt nemotron nemotron_h olmo olmo2 olmoe orion paddleocr pangu-embedded phi2 phi3
    phimoe plamo2 qwen qwen2 qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3vl
    qwen3vlmoe refact rwkv6 rwkv7 seed_oss smallthinker smollm3 stablelm starcoder starcoder2
    xverse
    """
)
"""The architectures whose compute buffers too are compared with llama.cpp's, at real dimensions."""

UNIFORM = _names(
    """
    gemma2 gemma3 llama olmoe phi3 qwen2 qwen3 qwen35 qwen3moe
    """
)
"""Their loaders use the first layer's widths for all layers, and refuse a file with others."""

DRAFTS = frozenset({"dflash", "eagle3", "gemma4-assistant"})
"""Draft models: they propose tokens to another model, and are not served alone."""

WITHOUT_CACHE = _names(
    """
    bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert
    gemma-embedding wavtokenizer-dec dream llada llada-moe rnd1
    """
)
"""Encoders and diffusion models: they keep nothing between two computations."""


@dataclass(frozen=True)
class Windows:
    """Which layers have a sliding window: all but one in `every`, unless the file has a flag for each.

    `every` is 0 where the loader accepts only such flags. `width` applies where the file has none,
    `fixed` whatever width it has; with `optional` a file without a width has no windows.
    """

    every: int = 0
    full_first: bool = False
    width: int = 0
    fixed: int = 0
    optional: bool = False


WINDOWS: Mapping[str, Windows] = {
    "afmoe": Windows(4, optional=True),
    "cohere2": Windows(4),
    "cohere2moe": Windows(4, full_first=True),
    "dots3note": Windows(),
    "exaone-moe": Windows(4),
    "exaone4": Windows(4, width=4096),
    "gemma2": Windows(2, width=4096),
    "gemma3": Windows(6, optional=True),
    "gemma3n": Windows(5),
    "gemma4": Windows(),
    "gpt-oss": Windows(2),
    "granite_swa": Windows(),
    "laguna": Windows(4, full_first=True, optional=True),
    "llama4": Windows(4, width=8192, fixed=8192, optional=True),
    "maple": Windows(),
    "mellum": Windows(4, optional=True),
    "mimo2": Windows(),
    "muse-glimmer": Windows(4),
    "olmo2": Windows(4, optional=True),
    "plamo3": Windows(8, optional=True),
    "smallthinker": Windows(4, full_first=True, fixed=4096, optional=True),
    "spark2_5": Windows(),
    "step35": Windows(),
}
WINDOWED_BY_DEPTH: Mapping[str, int] = {"exaone4": 64}
"""The loader uses windows only in the model with so many layers."""

WINDOWED_ATTENTION = frozenset({"lfm2"})
"""Every layer with attention has the window, where the file has one."""

RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
"""Every layer keeps a state, and none keys and values."""

RECURRENT_BY_GROUPS = _names(
    """
    jamba plamo2 granitehybrid lfm2 lfm2moe kimi-linear bailingmoe3 kimi-k3 glm5-next
    """
)
"""A layer without KV heads keeps a state."""

RECURRENT_BUT_ONE_IN: Mapping[str, int] = {
    "minimax-01": 8,
    "qwen3next": 4,
    "qwen35": 4,
    "qwen35moe": 4,
    "qwen4exp": 4,
}
"""Every n-th layer has attention, the others keep a state; a file may give another n."""

NEMOTRON = frozenset({"nemotron_h", "nemotron_h_moe"})
"""Each layer is one of three: a state, attention, or a feed-forward network alone."""

BOTH = frozenset({"falcon-h1"})
"""Each layer has a state, and keys and values too."""

LATENT = _names(
    """
    bailingmoe3 deepseek2 deepseek32 dots3note glm-dsa glm5-next hy_v4 kimi-k3 kimi-linear
    mistral4
    """
)
"""With key_length_mla and value_length_mla the keys hold the values too (MLA)."""

INDEXED = frozenset(
    {"deepseek32", "dots3note", "glm-dsa", "glm5-next", "hy_v4", "minimax-m3", "qwen4exp"}
)
"""Some layers also keep a key for an indexer."""

DRAFT_LAYERS_KEPT = frozenset(
    {"minimax-m3", "hy_v4"} | NEMOTRON | BOTH | (RECURRENT_BY_GROUPS - {"glm5-next"})
)
"""The layers for drafts (nextn_predict_layers) have keys and values in the model's own cache too."""

STATE_WITHOUT_GROUPS = frozenset({"jamba", "mamba"})
DELTA_STATE = frozenset({"bailingmoe3", "glm5-next", "kimi-k3", "kimi-linear"})
SHORT_CONVOLUTION = frozenset({"lfm2", "lfm2moe"})
WKV_STATE = frozenset({"rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
LINEAR_ATTENTION = frozenset({"minimax-01"})

CACHED_LAYERS: Mapping[str, int] = {"gemma3n": 20}
"""Only the first n layers have keys and values; the others use theirs."""

READ_LAZILY = frozenset({"gemma4", "qwen4exp"})
"""A large table by token and layer is read a row at a time (`TENSOR_READ_LAZY`)."""

CANNOT_COUNT: Mapping[str, str] = {
    "deepseek4": "its caches of compressed tokens are not computed here",
}
"""Why an architecture's caches are not computed to the byte."""

# `GLM_5_2_DEFAULT_INDEXER_TYPES` of src/models/glm-dsa.cpp: from layer 2 on one in four.
GLM_INDEXED_FROM_CTX = 1 << 20


def glm_indexer(layer: int, ctx_train: int) -> bool:
    """Return whether a layer of glm-dsa has its own indexer, where the file does not say so."""
    return ctx_train < GLM_INDEXED_FROM_CTX or layer < 2 or (layer < 78 and layer % 4 == 2)
