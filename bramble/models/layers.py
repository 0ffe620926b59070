"""What each layer of a model keeps for a token and for a conversation, as llama.cpp's loaders decide it.

Where they are not known, or not computed here, `doubt` says why, and an upper bound is counted: keys
and values of every layer for every token, and every state.
"""

from __future__ import annotations

from dataclasses import dataclass

from bramble.models import architectures as known
from bramble.models.keys import Keys


@dataclass(frozen=True)
class Layer:
    """One layer, in numbers of elements: what it keeps for a token, and for a conversation."""

    key: int
    value: int
    query: int
    feed_forward: int
    state: int
    windowed: bool


@dataclass(frozen=True)
class Layers:
    """All layers, the width of their windows, and why what they keep is an upper bound, not exact."""

    each: tuple[Layer, ...]
    window: int
    doubt: str


@dataclass(frozen=True)
class _Heads:
    """Query and KV heads of each layer, and the widths of keys and values, without and with a window."""

    query: list[int]
    groups: list[int]
    key: int
    value: int
    key_windowed: int
    value_windowed: int


def layers(read: Keys, embedding: int) -> Layers:
    """Return what the header's layers keep."""
    heads = _heads(read, embedding)
    window, windowed, doubt = _windows(read)
    doubt = _doubt(read) or doubt
    recurrent = _recurrent(read, heads)
    state = _state(read, heads, embedding)
    widths = read.each("feed_forward_length", 0)
    cached = [_cached(read, i, recurrent[i], widths[i]) for i in range(read.layers)]
    experts = read.size("expert_count")
    chosen = read.each("expert_feed_forward_length", max(widths)) if experts else widths
    each = [
        Layer(
            key=_key(read, heads, i, windowed[i]) if cached[i] else 0,
            value=_value(read, heads, i, windowed[i]) if cached[i] else 0,
            query=heads.key * heads.query[i],
            feed_forward=chosen[i],
            state=_layer_state(read, i, state, embedding) if recurrent[i] else 0,
            windowed=windowed[i],
        )
        for i in range(read.layers)
    ]
    return Layers(tuple(_repeated(read, heads, each)), window, doubt)


def _doubt(read: Keys) -> str:
    """Return why the architecture's caches are not computed to the byte."""
    if read.arch not in known.KNOWN:
        return (
            f"the llama.cpp that bramble pins does not know the architecture {read.arch}, so it would "
            "not load the file; a newer one may keep less than is counted"
        )
    why = known.CANNOT_COUNT.get(read.arch, "")
    return f"of the architecture {read.arch}, {why}" if why else ""


def _heads(read: Keys, embedding: int) -> _Heads:
    query = read.each("attention.head_count", 0)
    given = read.has("attention.head_count_kv")
    groups = read.each("attention.head_count_kv") if given else query
    # Without heads in the first layer the loaders read no widths, except plamo2's.
    heads = query[0] or read.arch not in known.KNOWN
    usual = embedding // max(query[0], 1) if heads else 0
    reads = heads or read.arch == "plamo2"
    key = read.size("attention.key_length", usual) if reads else 0
    value = read.size("attention.value_length", usual) if reads else 0
    return _Heads(
        query=query,
        groups=groups,
        key=key,
        value=value,
        key_windowed=read.size("attention.key_length_swa", key),
        value_windowed=read.size("attention.value_length_swa", value),
    )


def _trunk(read: Keys) -> int:
    """Return the number of layers without the draft layers."""
    return max(read.layers - read.size("nextn_predict_layers"), 0)


def _windows(read: Keys) -> tuple[int, list[bool], str]:
    """Return the window's width, which layers have it, and why that is not sure."""
    none = [False] * read.layers
    if read.arch in known.WINDOWED_ATTENTION:
        width = read.size("attention.sliding_window")
        groups, trunk = read.each("attention.head_count_kv", 0), _trunk(read)
        return width, [width > 0 and count > 0 and i < trunk for i, count in enumerate(groups)], ""
    rule = known.WINDOWS.get(read.arch)
    depth = known.WINDOWED_BY_DEPTH.get(read.arch)
    if rule is None or (depth and _trunk(read) != depth):
        return 0, none, ""
    key = "attention.sliding_window"
    width = read.size(key, rule.width)
    if rule.optional and width == 0:
        return 0, none, ""
    if not read.has(key) and not rule.width:
        return 0, none, f"the file has no {read.arch}.{key}, and llama.cpp would not load it so"
    given = read.flags("attention.sliding_window_pattern")
    if given is None and not rule.every:
        return (
            0,
            none,
            (
                f"the file does not say in {read.arch}.{key}_pattern which layers see a window, and "
                "llama.cpp would not load it so"
            ),
        )
    return rule.fixed or width, given or _pattern(read, rule), ""


def _pattern(read: Keys, rule: known.Windows) -> list[bool]:
    """Return which layers have a window, by the file's period or the architecture's."""
    every = read.size("attention.sliding_window_pattern", rule.every)
    full = 0 if rule.full_first else every - 1
    trunk = _trunk(read)
    return [i < trunk and (every == 0 or i % every != full) for i in range(read.layers)]


def _recurrent(read: Keys, heads: _Heads) -> list[bool]:
    """Return which layers keep a state of a fixed size."""
    trunk, arch = _trunk(read), read.arch
    if arch in known.RECURRENT or arch in known.BOTH or arch not in known.KNOWN:
        return [i < trunk for i in range(read.layers)]
    if arch in known.RECURRENT_BUT_ONE_IN:
        given = read.flags("attention.recurrent_layers")
        interval = read.number("full_attention_interval", known.RECURRENT_BUT_ONE_IN[arch])
        return [
            i < trunk and (given[i] if given else (i + 1) % interval != 0)
            for i in range(read.layers)
        ]
    if arch in known.NEMOTRON:
        widths = read.each("feed_forward_length", 0)
        return [i < trunk and heads.groups[i] == 0 and widths[i] == 0 for i in range(read.layers)]
    by_groups = arch in known.RECURRENT_BY_GROUPS
    return [by_groups and i < trunk and heads.groups[i] == 0 for i in range(read.layers)]


def _cached(read: Keys, layer: int, recurrent: bool, width: int) -> bool:
    """Return whether a layer has keys and values of its own."""
    arch, trunk = read.arch, _trunk(read)
    if arch not in known.KNOWN or arch in known.BOTH:
        return True
    if arch in known.WITHOUT_CACHE or arch in known.RECURRENT or recurrent:
        return False
    if arch in known.NEMOTRON and width:
        return False
    if arch == "gemma4" and layer >= read.layers - read.size("attention.shared_kv_layers"):
        return False
    if layer >= known.CACHED_LAYERS.get(arch, read.layers):
        return False
    return arch in known.DRAFT_LAYERS_KEPT or trunk == 0 or layer < trunk


def _latent(read: Keys) -> bool:
    """Return whether the keys hold the values too (MLA)."""
    sizes = (read.size(f"attention.{part}_length_mla") for part in ("key", "value"))
    return read.arch in known.LATENT and all(sizes)


def _key(read: Keys, heads: _Heads, layer: int, windowed: bool) -> int:
    """Return the elements of a token's key, with that of the layer's indexer."""
    width = heads.key_windowed if windowed else heads.key
    if read.arch not in known.KNOWN:
        width = max(heads.key, heads.key_windowed)
    if read.arch in known.CANNOT_COUNT:
        # Uncompressed, and a copy compressed to a quarter at most.
        return width * heads.groups[layer] * 2 + read.size("attention.indexer.key_length")
    return width * heads.groups[layer] + _indexer(read, layer)


def _value(read: Keys, heads: _Heads, layer: int, windowed: bool) -> int:
    """Return the elements of a token's value, with that of the layer's indexer."""
    if read.arch in known.CANNOT_COUNT or _latent(read):
        return 0
    width = heads.value_windowed if windowed else heads.value
    if read.arch not in known.KNOWN:
        width = max(heads.value, heads.value_windowed)
    # An indexer's cache has values as wide as a head's, except qwen4exp's.
    indexed = read.arch != "qwen4exp" and _own_indexer(read, layer)
    return width * heads.groups[layer] + (heads.value if indexed else 0)


def _indexer(read: Keys, layer: int) -> int:
    """Return the elements of an indexer's key of a token."""
    if not _own_indexer(read, layer):
        return 0
    pooled = 3 if read.arch == "glm5-next" else 1
    return pooled * read.size("attention.indexer.key_length")


def _own_indexer(read: Keys, layer: int) -> bool:
    """Return whether a layer has its own indexer, instead of using another layer's."""
    arch = read.arch
    if arch not in known.INDEXED:
        return False
    if arch == "minimax-m3":
        return layer >= read.size("leading_dense_block_count")
    if arch == "hy_v4" and not read.size("attention.indexer.top_k"):
        return False
    if arch in ("deepseek32", "qwen4exp"):
        return True
    types = read.flags("attention.indexer.types")
    if types is not None:
        return types[layer]
    if arch == "glm-dsa":
        return known.glm_indexer(layer, read.number("context_length"))
    return arch == "glm5-next"


def _state(read: Keys, heads: _Heads, embedding: int) -> int:
    """Return a recurrent layer's state (`n_embd_r`, `n_embd_s` of src/llama-hparams.cpp)."""
    arch = read.arch
    if arch in known.WKV_STATE:
        shifted = read.number("token_shift_count", 2, least=0) * embedding
        return embedding * read.size("wkv.head_size") + shifted
    if arch in known.SHORT_CONVOLUTION:
        return embedding * max(read.size("shortconv.l_cache") - 1, 0)
    kernel = read.size("ssm.conv_kernel")
    if arch in known.DELTA_STATE:
        head = read.size("kda.head_dim")
        return heads.query[0] * head * (head + 3 * (kernel - 1 if kernel else 3))
    if arch in known.LINEAR_ATTENTION:
        return heads.key * heads.key * heads.query[0]
    inner, size = read.size("ssm.inner_size"), read.size("ssm.state_size")
    group = 0 if arch in known.STATE_WITHOUT_GROUPS else read.size("ssm.group_count")
    return max(kernel - 1, 0) * (inner + 2 * group * size) + size * inner


def _layer_state(read: Keys, layer: int, state: int, embedding: int) -> int:
    """Return a layer's state, with the history of qwen4exp's layer of n-grams."""
    grams = read.metadata.get("qwen4exp.ple.layers")
    if not isinstance(grams, tuple) or layer not in grams or read.arch != "qwen4exp":
        return state
    history = max(read.size("ple.conv_kernel") - 1, 0) * read.size("ple.ngram_size")
    return state + history * read.size("hyper_connection.count") * embedding


def _repeated(read: Keys, heads: _Heads, each: list[Layer]) -> list[Layer]:
    """Return the layers as computed: nanbeige runs them several times, graniteswitch adds a router."""
    if read.arch == "nanbeige":
        return each * read.number("num_loops", 1, limit=max(512 // len(each), 1))
    if read.arch == "graniteswitch":
        router = Layer(heads.key, heads.value, heads.key, 0, 0, False)
        return [*each, router]
    return each
