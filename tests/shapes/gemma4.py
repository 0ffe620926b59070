"""Gemma 4 as its files are: windows by layer, heads of two widths, shared layers, per-layer tables."""

from tests.shapes.models import Builder, feed_forward


def gemma4(name, quant, *, layers, embd, ff, heads, kv, every, window, shared=0, per_layer=0):
    """One layer in `every` sees all, with heads of 512; the others a window, with heads of 256."""
    windowed = [(layer + 1) % every != 0 for layer in range(layers)]
    groups = [kv[0] if seen else kv[1] for seen in windowed]
    made = Builder(
        name, "gemma4", quant, layers=layers, embd=embd, vocab=262144, ctx=131072, tied=True
    )
    made.set(
        feed_forward_length=ff,
        embedding_length_per_layer_input=per_layer,
        **{"attention.head_count": heads, "attention.head_count_kv": groups},
        **{"attention.key_length": 512, "attention.value_length": 512},
        **{"attention.key_length_swa": 256, "attention.value_length_swa": 256},
        **{"attention.sliding_window": window, "attention.sliding_window_pattern": windowed},
        **{"attention.shared_kv_layers": shared, "rope.freq_base_swa": 10000.0},
        **{"rope.dimension_count": 512, "rope.dimension_count_swa": 256},
    )
    if per_layer:
        made.matrix("per_layer_token_embd", per_layer * layers, 262144)
        made.matrix("per_layer_model_proj", embd, per_layer * layers)
        made.vector("per_layer_proj_norm", per_layer)
    made.vector("rope_freqs", 256)
    for layer, (seen, count) in enumerate(zip(windowed, groups, strict=True)):
        head = 256 if seen else 512
        made.matrix("attn_q", embd, head * heads, layer=layer)
        if layer < layers - shared:
            made.matrix("attn_k", embd, head * count, layer=layer)
            made.matrix("attn_v", embd, head * count, layer=layer)
            made.vector("attn_k_norm", head, layer)
        made.matrix("attn_output", head * heads, embd, layer=layer)
        made.vector("attn_q_norm", head, layer)
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            made.vector(norm, embd, layer)
        feed_forward(made, layer, embd, ff)
        if per_layer:
            made.matrix("inp_gate", embd, per_layer, layer=layer)
            made.matrix("proj", per_layer, embd, layer=layer)
            made.vector("post_norm", embd, layer)
    return made.shape


def all_gemma4():
    """One with a small and a large cache, by name."""
    e2b = {"layers": 35, "embd": 1536, "ff": 6144, "heads": 8, "kv": (1, 1), "every": 5}
    large = {"layers": 48, "embd": 3840, "ff": 15360, "heads": 16, "kv": (8, 1), "every": 6}
    made = [
        gemma4("gemma-4-e2b", "Q4_K_M", **e2b, window=512, shared=20, per_layer=256),
        gemma4("gemma-4-12b", "Q4_K_M", **large, window=1024),
    ]
    return {shape.name: shape for shape in made}
