"""What each architecture's layers keep, held against llama.cpp itself for every one that it knows.

recorded/llama-memory.0c1e5709.json has the bytes that the pinned llama.cpp takes for variants of its own
test fixtures (`architectures`: cache, for the requests in SMALL), and for dimensions like those of
published models (`published`: weights, cache and compute buffer, for those in LARGE).
"""

import json
from dataclasses import replace

import pytest

from bramble.fit import memory
from bramble.fit.verdict import BOARDS, Room, fit, request_for
from bramble.models import architectures, gguf
from bramble.models.dims import Dims, dims_of
from bramble.models.geometry import geometry
from bramble.models.keys import GeometryError
from tests.shapes import fixtures
from tests.shapes.gemma4 import all_gemma4, gemma4
from tests.shapes.record_memory import LARGE, RECORDED, SMALL
from tests.shapes.record_memory import kept as kept_keys
from tests.shapes.writer import Shape
from tests.unit.test_fit import SHAPES, model_of

ORACLE = json.loads(RECORDED.read_text(encoding="utf-8"))
BY_ARCH, PUBLISHED = ORACLE["architectures"], ORACLE["published"]
# Upstream's own fixture of these is not complete, or has the wrong shapes.
NOT_MADE = {"plm", "rwkv6qwen2", "t5"}
MIB = 1 << 20


def keys_of(entry):
    """All keys of a record's entry."""
    return {k: v for k, v in (ORACLE["usual"] | entry["keys"]).items() if v is not None}


def read(arch, keys):
    """The geometry of a header with these keys, and an embedding as wide as they say."""
    metadata = {"general.architecture": arch} | {f"{arch}.{k}": v for k, v in keys.items()}
    shape = (keys["embedding_length"], keys["vocab_size"])
    made = Shape("made", metadata, [("token_embd.weight", shape, "F16")])
    return geometry(gguf.read(made.header()))


def test_every_architecture_of_the_pinned_llama_cpp_is_known_and_no_other():
    assert set(BY_ARCH) - {"clip", "gptj"} == architectures.KNOWN


def test_the_record_has_every_architecture_that_can_be_made_to_load():
    without = {arch for arch, found in BY_ARCH.items() if "cases" not in found}
    assert without == NOT_MADE | {"clip", "gptj"} | architectures.DRAFTS
    assert sum(len(found.get("cases", ())) for found in BY_ARCH.values()) > 2500


@pytest.mark.parametrize("arch", sorted(a for a, found in BY_ARCH.items() if "cases" in found))
def test_the_cache_is_what_llama_cpp_takes_to_the_byte(arch):
    cases = BY_ARCH[arch]["cases"]
    fixture = fixtures.restored(arch, keys_of(BY_ARCH[arch]))
    changes = fixtures.variants(fixture)
    for name, recorded in cases.items():
        model = read(arch, kept_keys(fixtures.varied(fixture, changes[name])))
        truth = cases["deep"] if recorded == "as deep" else recorded
        for (ctx, ubatch, slots), expected in zip(SMALL, truth, strict=True):
            request = memory.Request(ctx=ctx, ubatch=ubatch, slots=slots)
            found = memory.kv_bytes(model, request)
            case = f"{arch}, {name}: {request}: {found} for {expected}"
            assert found >= expected if model.doubt else found == expected, case


def test_only_one_architecture_is_bounded_instead_of_counted():
    doubted = {arch for arch, found in BY_ARCH.items() if "cases" in found and doubt_of(arch)}
    assert doubted == {"deepseek4"}


def doubt_of(arch):
    """The doubt in the variants of an architecture that llama.cpp loads."""
    fixture = fixtures.restored(arch, keys_of(BY_ARCH[arch]))
    changes = fixtures.variants(fixture)
    models = (
        read(arch, kept_keys(fixtures.varied(fixture, changes[n]))) for n in BY_ARCH[arch]["cases"]
    )
    return any(model.doubt for model in models)


@pytest.mark.parametrize("arch", sorted(architectures.DRAFTS))
def test_a_draft_model_is_not_served_alone(arch):
    with pytest.raises(GeometryError, match="draft model"):
        read(arch, keys_of(BY_ARCH["llama"]))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_takes_what_llama_cpp_takes(name):
    arch, keys = name.partition(" ")[0], keys_of(PUBLISHED[name])
    model = read(arch, keys)
    assert not model.doubt
    assert model.compared
    for (ctx, ubatch, slots), row in zip(LARGE, PUBLISHED[name]["rows"], strict=True):
        weights, kv, compute = row
        request = memory.Request(ctx=ctx, ubatch=ubatch, slots=slots)
        assert memory.kv_bytes(model, request) == kv, request
        # The fixtures' weights are F32; a quant of 4.5 bits a weight makes the error count most.
        total, found = weights * 4.5 / 32 + kv + compute, memory.compute_bytes(model, request)
        assert abs(found - compute) <= 0.03 * total, request
        assert found > compute - 64 * MIB, request


def test_what_is_called_compared_is_compared():
    by_fit_params = {model_of(name).arch for name in SHAPES}
    listed = {name.partition(" ")[0] for name in PUBLISHED}
    assert listed | by_fit_params == architectures.COMPARED


GEMMA4 = keys_of(PUBLISHED["gemma4 12b"])


def test_gemma_4_is_counted_by_the_keys_that_its_file_gives():
    model = read("gemma4", GEMMA4)
    found = fit(model, BOARDS["pi5-16g"], request_for(model, 32768))
    assert found.kv_mib == 912
    assert not found.doubt
    assert found.verdict != "unknown"


# `llama-fit-params` of the pinned commit for the sparse files of tests/shapes/gemma4.py, as test_fit.py
# has it: CTX, UBATCH, SLOTS, TYPE, then MiB of model, context, compute.
FIT_PARAMS = {
    "gemma-4-e2b-q4_k_m": (
        (2048, 128, 1, "f16", 2634, 21, 130),
        (32768, 128, 1, "f16", 2634, 201, 137),
        (8192, 512, 2, "q8_0", 2634, 38, 521),
    ),
    "gemma-4-12b-q4_k_m": (
        (2048, 128, 1, "f16", 7816, 432, 134),
        (32768, 128, 1, "f16", 7816, 912, 133),
        (8192, 512, 2, "q8_0", 7816, 578, 541),
    ),
}


@pytest.mark.parametrize("name", FIT_PARAMS)
def test_a_whole_file_of_gemma_4_takes_what_llama_fit_params_says(name):
    """It counts the embedding twice, as it maps nothing; mapped, llama-bench says, it is there once."""
    header = gguf.read(all_gemma4()[name].header())
    model = geometry(header)
    embedding = next(t.nbytes for t in header.tensors if t.name == "token_embd.weight")
    for ctx, ubatch, slots, kind, *truth in FIT_PARAMS[name]:
        request = memory.Request(ctx=ctx, ubatch=ubatch, slots=slots, type_k=kind, type_v=kind)
        assert (model.weights.file_bytes + embedding) // MIB == truth[0]
        assert memory.kv_bytes(model, request) // MIB == truth[1]
        assert abs(memory.compute_bytes(model, request) / MIB - truth[2]) < 0.01 * sum(truth)


def test_a_table_that_is_read_a_row_at_a_time_is_no_reason_to_refuse():
    """`lazy_read::add` of src/llama-model-loader.cpp: from 4 GiB on, as of Gemma 4 E4B in F16."""
    size = {"layers": 42, "embd": 2560, "ff": 10240, "heads": 8, "kv": (2, 2), "every": 6}
    shared = {"window": 512, "shared": 18, "per_layer": 256}
    large, small = (
        geometry(gguf.read(gemma4("gemma-4-e4b", quant, **size, **shared).header()))
        for quant in ("F16", "Q4_K_M")
    )
    assert large.weights.lazy_bytes == 256 * 42 * 262144 * 2
    assert "5376 MiB of it are a table that llama.cpp reads from the file" in large.doubt
    assert Dims.model_validate_json(dims_of(large).model_dump_json()).geometry == large
    request = request_for(large, None)
    assert fit(large, Room(14500), request).verdict == "unknown"
    assert fit(large, Room(7800), request).verdict == "no"
    assert (small.weights.lazy_bytes, small.doubt) == (0, "")


def test_a_missing_pattern_is_no_refusal_but_a_bound():
    keys = {k: v for k, v in GEMMA4.items() if k != "attention.sliding_window_pattern"}
    model = read("gemma4", keys)
    assert "does not say in gemma4.attention.sliding_window_pattern" in model.doubt
    found = fit(model, BOARDS["pi4-8g"], request_for(model, 32768))
    assert found.verdict == "unknown"
    assert found.sentence.startswith(
        "Cannot tell: with a context of 32768 tokens the model takes at most"
    )
    assert found.flags  # it may be tried


UNKNOWN = {
    "block_count": 4,
    "context_length": 8192,
    "embedding_length": 256,
    "vocab_size": 1024,
    "attention.head_count": 8,
    "attention.head_count_kv": [1, 8, 1, 8],
    "attention.key_length": 64,
    "attention.key_length_swa": 32,
    "attention.sliding_window": 512,
    "ssm.state_size": 16,
    "ssm.inner_size": 512,
}


def test_an_architecture_that_llama_cpp_does_not_know_is_told_and_bounded():
    model = read("newest", UNKNOWN)
    assert "does not know the architecture newest, so it would not load the file" in model.doubt
    request = memory.Request(ctx=4096)
    assert memory.kv_bytes(model, request) == 4096 * 18 * (64 + 32) * 2 + 4 * 16 * 512 * 4
    small = replace(BOARDS["pi4-1g"], memory_mib=365)
    found = fit(replace(model, weights=replace(model.weights, file_bytes=1)), small, request)
    assert found.verdict == "unknown"
    sure = fit(replace(model, weights=replace(model.weights, file_bytes=1 << 30)), small, request)
    assert sure.verdict == "no"
    assert fit(model, BOARDS["pi4-8g"], request).verdict == "tight"


def test_an_array_of_another_length_than_the_layers_is_refused_as_llama_cpp_does():
    keys = GEMMA4 | {"attention.head_count_kv": [*GEMMA4["attention.head_count_kv"], 8]}
    with pytest.raises(GeometryError, match="49 values for 48 layers"):
        read("gemma4", keys)


def test_the_lock_keeps_the_doubt_and_distrusts_what_older_rules_read():
    model = read("newest", UNKNOWN)
    again = Dims.model_validate_json(dims_of(model).model_dump_json())
    assert again.geometry == model
    old = dims_of(read("gemma4", GEMMA4)).model_copy(update={"rules": 1})
    assert old.stale
    assert "`bramble model lock` reads them again" in old.geometry.doubt
    exact = dims_of(read("llama", keys_of(BY_ARCH["llama"]))).model_copy(update={"rules": 1})
    assert not exact.stale
    assert not exact.geometry.doubt
