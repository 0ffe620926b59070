"""What distributed-llama and RPC take, against what their own programs said."""

from dataclasses import replace

import pytest

from bramble.cluster import layers, memory
from bramble.cluster.shapes import PUBLISHED, Shape, as_q4, matching
from bramble.fit.memory import Request, kv_bytes
from bramble.fit.verdict import BOARDS, request_for
from bramble.models import gguf
from bramble.models.geometry import geometry
from tests.shapes.models import all_shapes

MIB = 1 << 20
SEQ = 2048

# Its file's size in GB, and "RequiredMemory" of root and last worker in MiB on 1, 2, 4 and 8 nodes.
SAID = {
    "llama-3.2-1b": (1.75, [(1855,), (1437, 441), (1228, 235), (1124, 133)]),
    "llama-3.2-3b": (3.38, [(3744,), (2633, 1138), (2077, 586), (1800, 311)]),
    "llama-3.1-8b": (6.32, [(6626,), (4325, 2333), (3175, 1189), (2600, 617)]),
    "qwen3-0.6b": (0.96, [(1407,), (1010, 417), (812, 219), (713, 120)]),
    "qwen3-1.7b": (2.21, [(2606,), (1907, 720), (1558, 371), (1384, 197)]),
    "qwen3-8b": (6.75, [(7068,), (4733, 2359), (3566, 1192), (2982, 608)]),
    "qwen3-14b": (10.98, [(11176,), (7084, 4117), (5039, 2071), (4016, 1049)]),
    "qwen3-30b-a3b": (18.29, [(17877,), (9568, 8381), (5414, 4227)]),
    "llama-3.3-70b": (43.30, [(42711,), (23373, 19393), (13704, 9738), (8871, 4912)]),
}


@pytest.mark.parametrize("name", SAID)
def test_each_node_takes_what_the_program_says(name):
    shape = PUBLISHED[name]
    for nodes, said in zip((1, 2, 4, 8), SAID[name][1], strict=False):
        for node, mib in zip((0, nodes - 1), said, strict=False):
            found = memory.required_bytes(shape, nodes, node, SEQ) / MIB
            assert round(found) == mib, (nodes, node)


@pytest.mark.parametrize("name", SAID)
def test_the_file_is_as_large_as_the_published_one(name):
    assert round(memory.file_bytes(PUBLISHED[name]) / 1e9, 2) == SAID[name][0]


def test_keys_and_values_have_32_bits():
    shape = PUBLISHED["llama-3.1-8b"]
    assert memory.kv_bytes(shape, 4, 4096) == 8 * 32 * 4096 * 1024 / 4
    more = memory.required_bytes(shape, 4, 1, 4096) - memory.required_bytes(shape, 4, 1, 2048)
    assert more > memory.kv_bytes(shape, 4, 2048)


def test_a_7b_fits_one_pi_4_without_swapping():
    """What the articles' page says."""
    found = int(memory.required_bytes(PUBLISHED["llama-2-7b"], 1, 0, SEQ)) >> 20
    assert (found, BOARDS["pi4-8g"].available_mib) == (6151, 7292)


def test_more_nodes_leave_the_root_its_embedding():
    shape = PUBLISHED["llama-3.3-70b"]
    root, worker = (memory.required_bytes(shape, 8, node, SEQ) for node in (0, 7))
    assert abs(root - worker - 4 * 128256 * 8192) / MIB < 60


# The numbers of nodes

DEMO = Shape("llama", 256, 1024, 4, 4, 2, 64, 512)


@pytest.mark.parametrize(
    ("shape", "nodes", "allowed"),
    [
        (DEMO, 1, True),
        (DEMO, 2, True),
        (replace(DEMO, kv_heads=4), 4, True),
        (
            replace(DEMO, heads=6, kv_heads=3, head_dim=64, vocabulary=1536, feed_forward=576),
            3,
            True,
        ),
        (DEMO, 4, False),  # more nodes than KV heads: it refuses
        (replace(DEMO, kv_heads=4), 3, False),  # an assert ends it
        # A KV head is cut: it answers, and wrongly.
        (replace(DEMO, heads=12, kv_heads=6, head_dim=32), 4, False),
        (replace(DEMO, feed_forward=513), 2, False),
        (replace(DEMO, vocabulary=1023), 2, False),
        (replace(DEMO, heads=3, kv_heads=2), 2, False),
    ],
)
def test_what_it_can_be_split_among(shape, nodes, allowed):
    assert (not list(memory.obstacles(shape, nodes))) == allowed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embedding": 272}, "the width (272)"),
        ({"head_dim": 24}, "a node's share of the heads (48)"),
        ({"feed_forward": 520}, "a node's share of the feed-forward width (260)"),
    ],
)
def test_slices_are_whole_blocks(change, words):
    (why,) = memory.obstacles(replace(DEMO, **change), 2)
    assert why == f"{words} is not a multiple of 32"


def test_an_obstacle_names_what_cannot_be_divided():
    (why,) = memory.obstacles(PUBLISHED["llama-3.1-8b"], 3)
    assert why == (
        "KV heads (8), heads (32), the feed-forward width (14336) cannot be divided by 3"
    )


@pytest.mark.parametrize("arch", ["qwen2", "gemma3"])
def test_other_architectures_are_not_loaded(arch):
    (why,) = memory.obstacles(replace(DEMO, arch=arch), 2)
    assert f"this model is {arch}" in why


def test_a_mixture_of_experts_is_qwens():
    (why,) = memory.obstacles(replace(DEMO, experts=8, experts_used=2), 2)
    assert "qwen3moe" in why
    assert memory.allowed(PUBLISHED["qwen3-30b-a3b"]) == (1, 2, 4)
    assert memory.allowed(PUBLISHED["llama-3.1-8b"]) == (1, 2, 4, 8)


# The largest model by boards, as the reference has it, with its own room for them

ROOMS = {2: 1500, 4: 3400, 8: 7400, 16: 15600}
LARGEST = [
    ((2,), ["qwen3-0.6b", "llama-3.2-1b", "llama-3.2-1b", "llama-2-7b"]),
    ((8,), ["qwen3-8b", "qwen3-14b", "qwen3-30b-a3b", "llama-2-70b"]),
    ((16,), ["qwen3-14b", "qwen3-30b-a3b", "llama-3.3-70b", "llama-3.3-70b"]),
    ((8, 2), [None, "llama-3.2-3b", "qwen3-8b", "qwen3-14b"]),
    ((16, 8), [None, "qwen3-14b", "qwen3-30b-a3b", "llama-3.3-70b"]),
]
TRIED = [*SAID, "llama-2-7b", "llama-2-13b", "llama-2-70b"]


@pytest.mark.parametrize(("boards", "named"), LARGEST)
def test_the_largest_model_of_boards(boards, named):
    root, worker = ROOMS[boards[0]], ROOMS[boards[-1]]
    for nodes, name in zip((1, 2, 4, 8), named, strict=True):
        fitting = [
            one
            for one in TRIED
            if not list(memory.obstacles(PUBLISHED[one], nodes))
            and memory.required_bytes(PUBLISHED[one], nodes, 0, SEQ) / MIB <= root
            and memory.required_bytes(PUBLISHED[one], nodes, nodes - 1, SEQ) / MIB <= worker
        ]
        if name is not None:
            assert max(fitting, key=lambda one: memory.file_bytes(PUBLISHED[one])) == name, nodes


# RPC


@pytest.mark.parametrize(
    ("count", "given", "found"),
    [
        (6, (1, 1), (4, 3)),
        (6, (1, 3), (2, 5)),
        (6, (1, 0), (7, 0)),
        (6, (1, 1, 1), (3, 2, 2)),
        (32, (1,), (33,)),
        (32, (1, 1), (17, 16)),
        (32, (1, 1, 1, 1), (9, 8, 8, 8)),
    ],
)
def test_layers_are_placed_as_llama_cpp_does(count, given, found):
    """The output counts as one more layer, which the last one has."""
    assert layers.placement(count, given) == found


EIGHT, EIGHT_PARTS = as_q4(PUBLISHED["llama-3.1-8b"])
AT_4096 = Request(ctx=4096)


@pytest.mark.parametrize(
    ("count", "output", "weights_mib", "kept_mib"),
    [
        (32, True, 4026, 512),
        (17, False, 1989, 272),
        (15, True, 2037, 240),
        (9, False, 1053, 144),
        (8, False, 936, 128),
        (7, True, 1101, 112),
    ],
)
def test_a_server_takes_what_llama_fit_params_says(count, output, weights_mib, kept_mib):
    weights = count * EIGHT_PARTS.layer + output * EIGHT_PARTS.output
    assert abs(weights / MIB - weights_mib) < 1
    assert count * kv_bytes(EIGHT, AT_4096) / 32 / MIB == kept_mib


def test_the_client_has_the_embedding():
    assert round(EIGHT_PARTS.embedding / MIB) in (281, 282)


def test_buffers_are_not_counted_below_llama_fit_params():
    """84 MiB on the last of two or four servers, 39 to 64 on others."""
    assert 84 <= layers.buffer_bytes(EIGHT, AT_4096) / MIB < 100


def test_a_split_counts_at_least_what_each_server_takes():
    placed = layers.split(EIGHT, EIGHT_PARTS, [7000] * 4, AT_4096)
    shares = layers.shares(placed)
    assert layers.placement(32, shares) == shares
    assert sum(one.layers for one in placed) == 32
    assert [one.output for one in placed] == [False, False, False, True]
    for one in placed[1:]:
        said = one.layers * (117 + 16) + (282 + 84 if one.output else 47)
        assert one.needed_mib > said


def test_larger_boards_get_more_layers():
    placed = layers.split(EIGHT, EIGHT_PARTS, [7292, 1452, 1452], AT_4096)
    assert placed[0].layers > 20
    assert all(one.needed_mib <= room for one, room in zip(placed, (7292, 1452, 1452), strict=True))


def test_what_does_not_fit_together_is_not_split():
    assert layers.split(EIGHT, EIGHT_PARTS, [1452] * 3, AT_4096) is None
    assert sum(layers.capacities(EIGHT, EIGHT_PARTS, [1452] * 3, AT_4096)) < 32
    # Layers would fit, and the output's matrix would not.
    assert layers.split(EIGHT, EIGHT_PARTS, [7292, 300], AT_4096) is None


def test_every_layer_of_a_published_model_is_placed_whatever_the_boards():
    for name, shape in PUBLISHED.items():
        model, parts = as_q4(shape)
        for boards in (["pi5-16g"] * 8, ["pi5-16g", "pi4-4g", "pi4-4g", "pi4-2g"]):
            rooms = [BOARDS[one].available_mib for one in boards]
            placed = layers.split(model, parts, rooms, request_for(model, None))
            if placed is not None:
                assert sum(one.layers for one in placed) == shape.layers, name
                shares = layers.shares(placed)
                assert layers.placement(shape.layers, shares) == shares


# Numbers of heads


@pytest.mark.parametrize("name", ["qwen3-4b", "llama-3.1-8b", "qwen2.5-3b", "qwen3-30b-a3b"])
def test_a_model_without_heads_is_known_by_its_other_dimensions(name):
    model = geometry(gguf.read(all_shapes()[f"{name}-q4_k_m"].header()))
    found, said = matching(model), PUBLISHED[name]
    assert (found.heads, found.kv_heads, found.head_dim) == (
        said.heads,
        said.kv_heads,
        said.head_dim,
    )


def test_a_model_that_nobody_published_is_not_known():
    model = geometry(gguf.read(all_shapes()["gemma-3-1b-q4_k_m"].header()))
    assert matching(model) is None
    eight = geometry(gguf.read(all_shapes()["llama-3.1-8b-q4_k_m"].header()))
    assert matching(replace(eight, embedding=4160)) is None
