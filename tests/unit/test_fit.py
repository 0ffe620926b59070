"""The memory of a model, held against llama-fit-params of the pinned llama.cpp.

recorded/llama-fit-params.0c1e5709.json has its answers (amd64, Bookworm) for the sparse files that
tests/shapes writes: `llama-fit-params -m FILE -c CTX -np SLOTS -ub UBATCH -ctk TYPE -ctv TYPE
--no-repack --fit-print on`; each row is CTX, UBATCH, SLOTS, TYPE, then MiB of model, context, compute.
"""

import json
from pathlib import Path

import pytest

from bramble.fit import memory
from bramble.models import gguf
from bramble.models.geometry import GeometryError, geometry
from bramble.models.weights import weights
from tests.shapes.models import all_shapes, pruned
from tests.shapes.writer import Shape

RECORDED = Path(__file__).parent / "recorded" / "llama-fit-params.0c1e5709.json"
ORACLE = json.loads(RECORDED.read_text(encoding="utf-8"))
SHAPES = all_shapes()
MIB = 1 << 20


def model_of(name):
    return geometry(gguf.read(SHAPES[name].header()))


def test_every_shape_has_its_recorded_answers():
    assert set(ORACLE) == set(SHAPES)
    assert len(ORACLE) >= 30
    contexts = {row[0] for rows in ORACLE.values() for row in rows}
    assert min(contexts) == 512
    assert max(contexts) == 32768


@pytest.mark.parametrize("name", SHAPES)
def test_memory_is_what_llama_fit_params_says(name):
    model = model_of(name)
    for ctx, ubatch, slots, kind, *truth in ORACLE[name]:
        request = memory.Request(ctx=ctx, ubatch=ubatch, slots=slots, type_k=kind, type_v=kind)
        weights = model.weights.file_bytes / MIB
        kv = memory.kv_bytes(model, request) / MIB
        total = weights + kv + memory.compute_bytes(model, request) / MIB
        case = f"{name}: {request}"
        assert int(weights) == truth[0], case
        assert int(kv) == truth[1], case
        assert abs(total - sum(truth)) <= 0.03 * sum(truth), case
        assert total > sum(truth) - 64, case


def test_widths_by_layer_are_refused_where_llama_cpp_refuses_them():
    """llama-fit-params ends on this file with "tensor 'blk.4.ffn_gate.weight' has wrong shape"."""
    with pytest.raises(GeometryError, match="differs from layer to layer"):
        geometry(gguf.read(pruned("Q4_K_M", arch="llama").header()))


def test_only_windows_and_states_are_copied_for_later_turns():
    request = memory.Request(ctx=8192, checkpoints=32)
    assert memory.checkpoint_bytes(model_of("qwen2.5-3b-q4_k_m"), request) == 0
    hybrid = model_of("qwen3.5-0.8b-q4_k_m")
    state = sum(layer.state for layer in hybrid.layers) * 4
    assert memory.checkpoint_bytes(hybrid, request) == 32 * state


def test_a_tied_embedding_is_there_twice_where_weights_are_repacked():
    """Seen with llama-fit-params: without --no-repack, `Host 125` besides `CPU_REPACK 828`."""
    qwen = model_of("qwen2.5-3b-q4_k_m").weights
    assert qwen.twice_bytes == 151936 * 2048 // 256 * 210
    assert qwen.repacked_bytes < qwen.file_bytes
    assert model_of("llama-3.1-8b-q4_k_m").weights.twice_bytes == 0
    half = model_of("qwen2.5-3b-f16").weights
    assert (half.repacked_bytes, half.twice_bytes) == (0, 0)


@pytest.mark.parametrize("kind", [2, 8, 12, 13, 14, 20, 39, 41])
def test_every_type_that_dotprod_wants_in_another_order_is_copied(kind):
    """`ggml_repack_get_optimal_repack_type` of ggml-cpu/repack.cpp, where it asks for dotprod."""
    found = gguf.TYPES[kind]
    tensor = gguf.Tensor(
        "token_embd.weight", (256, 64), found, 64 * 256 // found.block * found.size
    )
    tied = weights((tensor,), 0)
    assert tied.repacked_bytes == tied.twice_bytes == tensor.nbytes


def test_an_expert_tensor_without_dimensions_is_read_whole():
    scalar = gguf.Tensor("blk.0.ffn_up_exps.weight", (), gguf.TYPES[0], 4)
    assert weights((scalar,), 2).active_bytes == 4


def test_a_token_reads_the_chosen_experts_and_one_row_of_a_table_that_is_looked_up():
    qwen = model_of("qwen2.5-3b-q4_k_m").weights
    assert qwen.active_bytes == qwen.file_bytes  # the embedding is the output too
    llama = model_of("llama-3.1-8b-q4_k_m").weights
    assert llama.file_bytes - llama.active_bytes == 128256 * 4096 // 256 * 144
    assert 7.4e9 < llama.active_elements < 7.6e9
    mixture = model_of("qwen3-30b-a3b-q4_k_m").weights
    assert 2.9e9 < mixture.active_elements < 3.4e9
    assert mixture.active_bytes < mixture.file_bytes / 8


BAD = {
    "no architecture": ({}, "does not say the model's architecture"),
    "no layers": ({"llama.block_count": 0}, "block_count is 0"),
    "many layers": ({"llama.block_count": 1 << 30}, "block_count is"),
    "short array": ({"llama.attention.head_count_kv": [1]}, "has 1 values for 2 layers"),
    "other width": ({"llama.embedding_length": 64}, "32 wide"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_header_that_cannot_be_a_model_is_refused(case):
    usual = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 512,
        "llama.embedding_length": 32,
        "llama.attention.head_count": 2,
    }
    change, words = BAD[case]
    metadata = usual | change if change else {"a": 1}
    shape = Shape("bad", metadata, [("token_embd.weight", (32, 4), "Q8_0")])
    with pytest.raises(GeometryError, match=words):
        geometry(gguf.read(shape.header()))
