"""Upstream's fixture of each architecture, and variants of it in which what a loader goes by shows."""

import json
import random
import struct

from tests.shapes.writer import padded, text, typed

LAYERS = 12
ARRAYS = {"u32": (4, "I"), "u64": (10, "Q"), "f32": (6, "f")}
_BY_LAYER = {
    "attention.head_count": lambda i, values: 0 if i % 3 == 1 else max(values),
    "attention.head_count_kv": lambda i, values: 0 if i % 3 == 1 else max(values),
    "feed_forward_length": lambda i, values: 0 if i % 3 != 2 else max(values),
    "attention.sliding_window_pattern": lambda i, values: int(i % 4 != 3),
    "attention.indexer.types": lambda i, values: int(i % 3 == 0),
}
_NOT_BY_LAYER = (
    *("ple.layers", "ple.layer_multipliers", "rope.dimension_sections"),
    *("adapters.token_ids_activate", "adapters.token_ids_substitute"),
)


def complete(fixture):
    """The fixture with what its loader wants and upstream's has not."""
    arch = fixture["general.architecture"]
    more = {}
    if arch in ("rwkv7", "arwkv7"):
        ranks = ("decay", "iclr", "gate", "value_residual_mix")
        more = {f"attention.{rank}_lora_rank": 32 for rank in ranks}
    if arch == "arwkv7":
        more["token_shift_count"] = 1
    if arch == "graniteswitch":
        more = {"adapters.count": 2, "adapters.lora_rank": 4}
        more["adapters.token_ids_activate"] = {"u32": [1, 2]}
        more["adapters.token_ids_substitute"] = {"u32": [3, 4]}
    if arch == "deepseek2-ocr":
        more = {"expert_feed_forward_length": 384, "expert_count": 2, "expert_used_count": 2}
        more["expert_shared_count"] = 1
    return (
        fixture
        | {"tokenizer.ggml.token_type_count": 2}
        | {f"{arch}.{k}": v for k, v in more.items()}
    )


def deep(fixture, layers=LAYERS):
    """The fixture with more layers."""
    arch = fixture["general.architecture"]
    if arch == "hrm_text":  # its number of layers follows from its cycles
        return fixture
    layers = 26 if arch == "gemma3n" else layers
    found = fixture | {f"{arch}.block_count": layers}
    for name, value in fixture.items():
        key = name.partition(".")[2]
        if isinstance(value, dict) and key not in _NOT_BY_LAYER:
            ((kind, values),) = value.items()
            if len(values) == fixture[f"{arch}.block_count"]:
                rule = _BY_LAYER.get(key, lambda i, values: values[i % len(values)])
                if key == "attention.indexer.types" and arch == "dots3note":
                    rule = _fully_seen  # its indexers are for layers without a window
                found[name] = {kind: [rule(i, values) for i in range(layers)]}
    return found


def _fully_seen(i, _values):
    return int(i % 4 == 3)


def variants(fixture):
    """Names with what each changes in the deep fixture; None takes a key out."""
    arch = fixture["general.architecture"]
    base = deep(fixture)
    total, heads = base[f"{arch}.block_count"], base[f"{arch}.attention.head_count"]
    window, pattern = "attention.sliding_window", "attention.sliding_window_pattern"
    chance = random.Random(arch)
    flags = {"u32": [chance.randint(0, 1) for _ in range(total)]}
    one_in_four = {"u32": [int(i % 4 != 3) for i in range(total)]}
    made = {
        "deep": {},
        "period missing": {pattern: None},
        "period 3": {pattern: 3},
        "windows by layer": {pattern: flags},
        "no window": {window: None},
        "window 0": {window: 0},
        "window 1024": {window: 1024},
        "windows by layer, 1024": {window: 1024, pattern: flags},
        "drafts": {"nextn_predict_layers": 1},
        "widths of heads": _widths(64),
        "widths of windowed heads": _widths(64) | _widths(32, "_swa") | {pattern: flags},
        "without latent widths": {
            f"attention.{part}_length_mla": None for part in ("key", "value")
        },
        "interval missing": {"full_attention_interval": None},
        "recurrent by layer": {"attention.recurrent_layers": {"u32": [1, *flags["u32"][1:]]}},
        "shared layers": {"attention.shared_kv_layers": 4, pattern: one_in_four},
        "long": {"context_length": 1 << 20},
        "long, with indexers by layer": {
            "context_length": 1 << 20,
            "attention.indexer.types": flags,
        },
        "no indexer": {"attention.indexer.top_k": 0, "attention.indexer.key_length": 0},
        "loops": {"num_loops": 3},
    }
    if isinstance(heads, int) and isinstance(base[f"{arch}.attention.head_count_kv"], int):
        groups = {"u32": [heads if i % 2 else 1 for i in range(total)]}
        made["one KV head"] = {"attention.head_count_kv": 1}
        made["KV heads by layer"] = {"attention.head_count_kv": groups}
        made["KV heads and windows by layer"] = {"attention.head_count_kv": groups, pattern: flags}
    if arch == "exaone4":
        made["64 layers"] = {"block_count": 64}
        made["64 layers, period missing"] = {"block_count": 64, pattern: None}
        made["64 layers, no window"] = {"block_count": 64, window: None}
    return made


def _widths(size, suffix=""):
    return {f"attention.{part}_length{suffix}": size for part in ("key", "value")}


def changed(metadata, changes):
    """The metadata with changes of its architecture's keys."""
    arch = metadata["general.architecture"]
    found = metadata | {f"{arch}.{key}": value for key, value in changes.items()}
    return {key: value for key, value in found.items() if value is not None}


def varied(fixture, changes):
    """The deep fixture with the changes of a variant."""
    return changed(deep(fixture, changes.get("block_count", LAYERS)), changes)


def restored(arch, keys):
    """The metadata of which `keys` were kept."""
    return {"general.architecture": arch} | {
        f"{arch}.{key}": {"u32": value} if isinstance(value, list) else value
        for key, value in keys.items()
        if value is not None
    }


def header(metadata):
    """A GGUF header without tensors, with a vocabulary of nothing but numbers."""
    size = metadata[f"{metadata['general.architecture']}.vocab_size"]
    pairs = metadata | {
        "tokenizer.ggml.model": "test",
        "tokenizer.ggml.tokens": [f"tok_{i}" for i in range(size)],
        "tokenizer.ggml.scores": [0.0] * size,
    }
    parts = [b"GGUF", struct.pack("<IQQ", 3, 0, len(pairs))]
    for key, value in pairs.items():
        kind, raw = _typed(value)
        parts += [text(key), struct.pack("<I", kind), raw]
    whole = b"".join(parts)
    return whole + bytes(padded(len(whole)) - len(whole))


def _typed(value):
    if not isinstance(value, dict):
        return typed(value)
    ((kind, values),) = value.items()
    number, form = ARRAYS[kind]
    return 9, struct.pack(f"<IQ{len(values)}{form}", number, len(values), *values)


def fixtures(lines):
    """Upstream's fixtures, of the lines that llama_memory prints."""
    return {one["general.architecture"]: one for one in map(json.loads, lines)}
