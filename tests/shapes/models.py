"""Shapes of real models: their published geometry and the mixture of types of each quantization.

Geometry is that of each model's config.json; the mixtures follow `llama_tensor_get_type` of
llama.cpp's src/llama-quant.cpp as far as sizes go.
"""

from tests.shapes.writer import SIZES, Shape

ROW = 256  # K-quants need rows of so many elements, else llama-quantize falls back


def use_more_bits(layer, layers):
    """The layers whose sensitive tensors get a larger type in the _M mixtures."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


BASE = {
    "Q2_K": "Q2_K",
    "Q3_K_M": "Q3_K",
    "Q4_K_S": "Q4_K",
    "Q4_K_M": "Q4_K",
    "Q5_K_M": "Q5_K",
    "Q6_K": "Q6_K",
    "Q8_0": "Q8_0",
    "Q4_0": "Q4_0",
    "IQ4_XS": "IQ4_XS",
    "F16": "F16",
}
FALLBACK = {"Q2_K": "IQ4_NL", "Q3_K": "IQ4_NL", "Q4_K": "Q5_0", "Q5_K": "Q5_1"}
FALLBACK |= {"Q6_K": "Q8_0", "IQ4_XS": "IQ4_NL"}


def type_of(quant, tensor, row, layer, layers, tied):
    """The type that llama-quantize gives a matrix."""
    kind = BASE[quant]
    if kind in ("F16", "Q8_0"):
        return kind
    head = tensor in ("output", "token_embd") and (tensor == "output" or tied)
    if head:
        kind = "Q6_K"
    elif tensor in ("attn_v", "ffn_down", "attn_qkv", "ffn_down_exps"):
        kind = _sensitive(quant, kind, tensor, layer, layers)
    return FALLBACK[kind] if row % SIZES[kind][1] else kind


def _sensitive(quant, kind, tensor, layer, layers):
    more = use_more_bits(layer, layers)
    if quant == "Q2_K":
        return "Q3_K"
    if quant == "Q3_K_M":
        return "Q5_K" if tensor == "attn_v" and layer < 2 else "Q4_K"
    if quant == "Q4_K_S":
        return "Q5_K" if layer < (4 if tensor == "attn_v" else layers // 8) else kind
    if quant in ("Q4_K_M", "Q5_K_M"):
        return "Q6_K" if more else kind
    return kind


class Builder:
    """Collects a model's metadata and tensors."""

    def __init__(self, name, arch, quant, *, layers, embd, vocab, ctx, tied):
        self.shape = Shape(f"{name}-{quant.lower()}")
        self.arch, self.quant, self.layers, self.tied = arch, quant, layers, tied
        self.shape.metadata = {
            "general.architecture": arch,
            "general.name": name,
            "tokenizer.ggml.model": "no_vocab",
        }
        self.set(vocab_size=vocab, context_length=ctx, embedding_length=embd, block_count=layers)
        self.set(**{"attention.layer_norm_rms_epsilon": 1e-6})
        self.matrix("token_embd", embd, vocab)
        self.vector("output_norm", embd)
        if not tied:
            self.matrix("output", embd, vocab)

    def set(self, **values):
        """Metadata of the architecture."""
        for key, value in values.items():
            self.shape.metadata[f"{self.arch}.{key}"] = value

    def matrix(self, tensor, row, *rest, layer=None, kind=None):
        """A weight matrix, of the quantization's type unless one is named."""
        kind = kind or type_of(self.quant, tensor, row, layer or 0, self.layers, self.tied)
        self.shape.tensors.append((self._name(tensor, layer, "weight"), (row, *rest), kind))

    def vector(self, tensor, length, layer=None, suffix="weight"):
        """A norm or a bias, always of 32 bits."""
        self.shape.tensors.append((self._name(tensor, layer, suffix), (length,), "F32"))

    def _name(self, tensor, layer, suffix):
        name = tensor if layer is None else f"blk.{layer}.{tensor}"
        return f"{name}.{suffix}" if suffix else name


def transformer(
    name,
    arch,
    quant,
    *,
    layers,
    embd,
    ff,
    heads,
    kv,
    vocab,
    ctx,
    head=None,
    tied=False,
    fused=False,
    bias=False,
    qk_norm=None,
    post_norms=False,
    experts=0,
    used=0,
    extra=None,
):
    """A decoder with attention in every layer; `ff` may be a list with one width for each layer."""
    width = head or embd // heads
    made = Builder(name, arch, quant, layers=layers, embd=embd, vocab=vocab, ctx=ctx, tied=tied)
    made.set(
        feed_forward_length=ff,
        **{"attention.head_count": heads, "attention.head_count_kv": kv},
        **{"rope.dimension_count": width},
    )
    if head:
        made.set(**{"attention.key_length": head, "attention.value_length": head})
    if experts:
        made.set(expert_count=experts, expert_used_count=used, expert_feed_forward_length=ff)
    made.set(**(extra or {}))
    for layer in range(layers):
        attention(made, layer, embd, width * heads, width * kv, fused=fused, bias=bias)
        made.vector("attn_norm", embd, layer)
        made.vector("ffn_norm", embd, layer)
        if qk_norm == "head":
            made.vector("attn_q_norm", width, layer)
            made.vector("attn_k_norm", width, layer)
        if qk_norm == "all":
            made.vector("attn_q_norm", embd, layer)
            made.vector("attn_k_norm", embd, layer)
        if post_norms:
            made.vector("post_attention_norm", embd, layer)
            made.vector("post_ffw_norm", embd, layer)
        inner = ff[layer] if isinstance(ff, list) else ff
        if experts:
            mixture(made, layer, embd, inner, experts)
        else:
            feed_forward(made, layer, embd, inner, fused=fused)
    return made.shape


def attention(made, layer, embd, q, kv, *, fused=False, bias=False):
    """Query, key, value and output."""
    if fused:
        made.matrix("attn_qkv", embd, q + 2 * kv, layer=layer)
    else:
        made.matrix("attn_q", embd, q, layer=layer)
        made.matrix("attn_k", embd, kv, layer=layer)
        made.matrix("attn_v", embd, kv, layer=layer)
    if bias:
        made.vector("attn_q", q, layer, "bias")
        made.vector("attn_k", kv, layer, "bias")
        made.vector("attn_v", kv, layer, "bias")
    made.matrix("attn_output", q, embd, layer=layer)


def feed_forward(made, layer, embd, ff, *, fused=False):
    """Gate, up and down; phi3 has gate and up in one."""
    if not fused:
        made.matrix("ffn_gate", embd, ff, layer=layer)
    made.matrix("ffn_up", embd, 2 * ff if fused else ff, layer=layer)
    made.matrix("ffn_down", ff, embd, layer=layer)


def mixture(made, layer, embd, ff, experts):
    """The router and all experts."""
    made.matrix("ffn_gate_inp", embd, experts, layer=layer, kind="F32")
    made.matrix("ffn_gate_exps", embd, ff, experts, layer=layer)
    made.matrix("ffn_up_exps", embd, ff, experts, layer=layer)
    made.matrix("ffn_down_exps", ff, embd, experts, layer=layer)


def qwen35(name, quant, *, layers, embd, ff, heads, kv, v_heads, vocab=248320, head=256):
    """A hybrid: gated delta nets with full attention in every fourth layer."""
    state, k_heads = 128, 16
    key, value = state * k_heads, state * v_heads
    made = Builder(
        name, "qwen35", quant, layers=layers, embd=embd, vocab=vocab, ctx=262144, tied=True
    )
    made.set(
        feed_forward_length=ff,
        full_attention_interval=4,
        **{"attention.head_count": heads, "attention.head_count_kv": kv},
        **{"attention.key_length": head, "attention.value_length": head},
        **{"rope.dimension_count": 64, "rope.dimension_sections": [11, 11, 10, 0]},
        **{"ssm.conv_kernel": 4, "ssm.inner_size": value, "ssm.state_size": state},
        **{"ssm.time_step_rank": v_heads, "ssm.group_count": k_heads},
    )
    for layer in range(layers):
        made.vector("attn_norm", embd, layer)
        made.vector("post_attention_norm", embd, layer)
        if (layer + 1) % 4:
            made.matrix("attn_qkv", embd, key * 2 + value, layer=layer)
            made.matrix("attn_gate", embd, value, layer=layer)
            made.matrix("ssm_conv1d", 4, key * 2 + value, layer=layer, kind="F32")
            made.vector("ssm_dt", v_heads, layer, "bias")
            made.vector("ssm_a", v_heads, layer, None)
            made.matrix("ssm_beta", embd, v_heads, layer=layer)
            made.matrix("ssm_alpha", embd, v_heads, layer=layer)
            made.vector("ssm_norm", state, layer)
            made.matrix("ssm_out", value, embd, layer=layer)
        else:
            made.matrix("attn_q", embd, head * heads * 2, layer=layer)
            made.matrix("attn_k", embd, head * kv, layer=layer)
            made.matrix("attn_v", embd, head * kv, layer=layer)
            made.matrix("attn_output", head * heads, embd, layer=layer)
            made.vector("attn_q_norm", head, layer)
            made.vector("attn_k_norm", head, layer)
        feed_forward(made, layer, embd, ff)
    return made.shape


def lfm2(name, quant, *, embd, ff, heads, kv, vocab=65536):
    """A hybrid of short convolutions and attention: the number of KV heads says which (0: none)."""
    made = Builder(
        name, "lfm2", quant, layers=len(kv), embd=embd, vocab=vocab, ctx=128000, tied=True
    )
    made.shape.tensors[1] = ("token_embd_norm.weight", (embd,), "F32")
    made.set(
        feed_forward_length=ff,
        **{"attention.head_count": heads, "attention.head_count_kv": kv},
        **{"rope.dimension_count": embd // heads, "shortconv.l_cache": 3},
    )
    for layer, groups in enumerate(kv):
        made.vector("attn_norm", embd, layer)
        made.vector("ffn_norm", embd, layer)
        if groups:
            attention(made, layer, embd, embd, embd // heads * groups)
            made.vector("attn_q_norm", embd // heads, layer)
            made.vector("attn_k_norm", embd // heads, layer)
        else:
            made.matrix("shortconv.conv", 3, embd, layer=layer, kind="F32")
            made.matrix("shortconv.in_proj", embd, 3 * embd, layer=layer)
            made.matrix("shortconv.out_proj", embd, embd, layer=layer)
        feed_forward(made, layer, embd, ff)
    return made.shape


def llama(name, quant, layers, embd, ff, heads, kv, vocab, ctx=131072, **more):
    """Llama's own architecture, which Mistral, SmolLM2 and TinyLlama share."""
    return transformer(
        name,
        "llama",
        quant,
        **{"layers": layers, "embd": embd, "ff": ff, "heads": heads, "kv": kv},
        **{"vocab": vocab, "ctx": ctx, **more},
    )


def qwen2(name, quant, layers, embd, ff, heads, kv, vocab, ctx=32768, **more):
    """Qwen 1.5 to 2.5: biases on query, key and value."""
    made = llama(name, quant, layers, embd, ff, heads, kv, vocab, ctx, bias=True, **more)
    return _renamed(made, "qwen2")


def qwen3(name, quant, layers, embd, ff, heads, kv, vocab=151936, ctx=40960, **more):
    """Qwen 3: heads of 128 with norms."""
    made = llama(
        name, quant, layers, embd, ff, heads, kv, vocab, ctx, head=128, qk_norm="head", **more
    )
    return _renamed(made, "qwen3moe" if more.get("experts") else "qwen3")


def gemma3(name, quant, layers, embd, ff, heads, kv, window, vocab=262144):
    """Gemma 3: five layers with a sliding window, then one without."""
    made = llama(
        name,
        quant,
        *(layers, embd, ff, heads, kv, vocab, 32768),
        **{"head": 256, "tied": True, "qk_norm": "head", "post_norms": True},
        extra={"attention.sliding_window": window},
    )
    return _renamed(made, "gemma3")


def phi3(name, quant, vocab, heads, kv, ctx, tied):
    """Phi-3 and Phi-4 mini: fused matrices, no window at the pinned commit."""
    made = llama(name, quant, 32, 3072, 8192, heads, kv, vocab, ctx, tied=tied, fused=True)
    return _renamed(made, "phi3")


def _renamed(made, arch):
    """The same shape with its keys under another architecture's name."""
    metadata = {key.replace("llama.", f"{arch}.", 1): value for key, value in made.metadata.items()}
    made.metadata = metadata | {"general.architecture": arch}
    return made


def pruned(quant, arch="deci"):
    """Llama 3.1 8B with narrower layers 4 to 27: only deci's loader reads a width for each layer."""
    name = "llama-3.1-8b-pruned"
    return _renamed(llama(name, quant, 32, 4096, PRUNED, 32, 8, 128256), arch)


PRUNED = [14336 if layer < 4 or layer > 27 else 10752 for layer in range(32)]
MIXTRAL = (32, 4096, 14336, 32, 8, 32000, 32768)
LFM2_KV = [0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0]


def all_shapes():
    """Every shape that is compared with llama-fit-params, by name."""
    made = [
        llama("tinyllama-1.1b", "Q4_K_M", 22, 2048, 5632, 32, 4, 32000, 2048),
        llama("tinyllama-1.1b", "Q5_K_M", 22, 2048, 5632, 32, 4, 32000, 2048),
        llama("tinyllama-1.1b", "Q8_0", 22, 2048, 5632, 32, 4, 32000, 2048),
        llama("smollm2-135m", "Q8_0", 30, 576, 1536, 9, 3, 49152, 8192, tied=True),
        llama("smollm2-360m", "Q4_K_M", 32, 960, 2560, 15, 5, 49152, 8192, tied=True),
        llama("smollm2-1.7b", "Q4_K_M", 24, 2048, 8192, 32, 32, 49152, 8192, tied=True),
        llama("llama-3.2-1b", "Q4_K_M", 16, 2048, 8192, 32, 8, 128256, tied=True),
        llama("llama-3.2-3b", "Q4_K_M", 28, 3072, 8192, 24, 8, 128256, tied=True),
        llama("llama-3-8b", "Q4_K_M", 32, 4096, 14336, 32, 8, 128256, 8192),
        llama("llama-3.1-8b", "Q4_K_M", 32, 4096, 14336, 32, 8, 128256),
        llama("llama-3.1-8b", "F16", 32, 4096, 14336, 32, 8, 128256),
        pruned("Q4_K_M"),
        pruned("Q3_K_M"),
        llama("mistral-7b-v0.3", "Q3_K_M", 32, 4096, 14336, 32, 8, 32768, 32768),
        llama("mistral-7b-v0.3", "Q4_K_M", 32, 4096, 14336, 32, 8, 32768, 32768),
        llama("mixtral-8x7b", "Q4_K_M", *MIXTRAL, experts=8, used=2),
        llama("llama-2-13b", "Q2_K", 40, 5120, 13824, 40, 40, 32000, 4096),
        qwen2("qwen1.5-1.8b", "Q4_K_M", 24, 2048, 5504, 16, 16, 151936),
        qwen2("qwen2.5-0.5b", "Q4_K_M", 24, 896, 4864, 14, 2, 151936, tied=True),
        qwen2("qwen2.5-1.5b", "Q4_K_M", 28, 1536, 8960, 12, 2, 151936, tied=True),
        *(
            qwen2("qwen2.5-3b", quant, 36, 2048, 11008, 16, 2, 151936, tied=True)
            for quant in ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")
        ),
        qwen2("qwen2.5-7b", "Q4_K_M", 28, 3584, 18944, 28, 4, 152064),
        qwen3("qwen3-0.6b", "Q8_0", 28, 1024, 3072, 16, 8, tied=True),
        qwen3("qwen3-4b", "Q4_K_M", 36, 2560, 9728, 32, 8, tied=True),
        qwen3("qwen3-30b-a3b", "Q4_K_M", 48, 2048, 768, 32, 4, experts=128, used=8),
        phi3("phi-3-mini", "Q4_K_M", 32064, 32, 32, 4096, False),
        phi3("phi-3-mini", "Q5_K_M", 32064, 32, 32, 4096, False),
        phi3("phi-4-mini", "Q4_K_M", 200064, 24, 8, 131072, True),
        gemma3("gemma-3-270m", "Q4_K_M", 18, 640, 2048, 4, 1, 512),
        gemma3("gemma-3-1b", "Q4_K_M", 26, 1152, 6912, 4, 1, 512),
        gemma3("gemma-3-4b", "Q4_K_M", 34, 2560, 10240, 8, 4, 1024, 262208),
        _renamed(
            llama(
                "gemma-2-2b",
                "Q4_K_M",
                *(26, 2304, 9216, 8, 4, 256000, 8192),
                **{"head": 256, "tied": True, "post_norms": True},
                extra={"attention.sliding_window": 4096},
            ),
            "gemma2",
        ),
        _renamed(
            llama(
                "olmoe-1b-7b",
                "Q4_K_M",
                *(16, 2048, 1024, 16, 16, 50304, 4096),
                **{"experts": 64, "used": 8, "qk_norm": "all"},
            ),
            "olmoe",
        ),
        qwen35("qwen3.5-0.8b", "Q4_K_M", layers=24, embd=1024, ff=3584, heads=8, kv=2, v_heads=16),
        qwen35("qwen3.5-2b", "Q4_K_S", layers=24, embd=2048, ff=6144, heads=8, kv=2, v_heads=16),
        qwen35("qwen3.5-4b", "Q4_K_M", layers=32, embd=2560, ff=9216, heads=16, kv=4, v_heads=32),
        lfm2("lfm2-1.2b", "Q4_0", embd=2048, ff=8192, heads=32, kv=LFM2_KV),
        lfm2("lfm2-1.2b", "IQ4_XS", embd=2048, ff=8192, heads=32, kv=LFM2_KV),
    ]
    return {shape.name: shape for shape in made}
