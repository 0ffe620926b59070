"""Whether a model fits a node: yes, tight or no, with the largest context and the flags."""

from dataclasses import replace

import pytest

from bramble.fit import memory
from bramble.fit.verdict import BOARDS, Room, fit, max_ctx, request_for
from bramble.models import gguf
from bramble.models.geometry import geometry
from tests.shapes.models import all_shapes

SHAPES = all_shapes()


def model_of(name):
    return geometry(gguf.read(SHAPES[name].header()))


def answer(name, board, ctx=None):
    model = model_of(name)
    return fit(model, BOARDS[board] if isinstance(board, str) else board, request_for(model, ctx))


def test_the_parts_add_up_to_what_is_compared_with_the_node():
    found = answer("llama-3.1-8b-q4_k_m", "pi5-8g")
    assert found.total_mib == sum(
        (found.weights_mib, found.kv_mib, found.compute_mib, found.cache_mib)
    )
    assert found.available_mib == BOARDS["pi5-8g"].memory_mib - found.reserve_mib
    assert found.kv_mib == 256  # 2 x 32 layers x 8 heads x 128 x 2 bytes x 2048 tokens


def test_a_model_with_room_to_spare_fits():
    found = answer("llama-3.1-8b-q4_k_m", "pi5-8g")
    assert found.verdict == "yes"
    assert found.sentence.startswith("Yes: with a context of 2048 tokens the model takes ")
    assert f" {found.total_mib} MiB, and the node has {found.available_mib} MiB" in found.sentence


def test_a_model_that_is_larger_than_the_memory_does_not_fit_and_gets_no_flags():
    found = answer("llama-3.1-8b-q4_k_m", "pi4-4g")
    assert (found.verdict, found.max_ctx, found.flags) == ("no", 0, ())
    assert str(found.total_mib) in found.sentence
    assert str(found.available_mib) in found.sentence
    assert "no context fits" in found.sentence


def test_a_context_that_is_too_large_is_answered_with_one_that_fits():
    found = answer("llama-3.1-8b-q4_k_m", "pi5-8g", ctx=131072)
    assert found.verdict == "no"
    assert 2048 < found.max_ctx < 131072
    assert f"{found.max_ctx} tokens would fit" in found.sentence
    assert answer("llama-3.1-8b-q4_k_m", "pi5-8g", ctx=found.max_ctx).verdict == "tight"
    assert answer("llama-3.1-8b-q4_k_m", "pi5-8g", ctx=found.max_ctx + 1).verdict == "no"


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("board", BOARDS)
def test_the_largest_context_is_the_last_that_fits(name, board):
    model, room = model_of(name), BOARDS[board]
    largest = max_ctx(model, room, memory.Request(ctx=1))
    assert largest <= model.ctx_train
    if largest:
        assert fit(model, room, memory.Request(ctx=largest)).verdict != "no"
    if largest < model.ctx_train:
        assert fit(model, room, memory.Request(ctx=largest + 1)).verdict == "no"


def room_with(total, spare):
    """A node that has this much for the model, and this much besides."""
    room = next(r for r in map(Room, range(256, 1 << 16)) if r.available_mib >= total + spare)
    return replace(room, repacks=False)


def test_a_model_is_tight_from_its_last_mebibyte_to_five_percent_of_the_memory():
    total = answer("qwen2.5-3b-q4_k_m", "pi5-8g").total_mib
    assert answer("qwen2.5-3b-q4_k_m", room_with(total, -1)).verdict == "no"
    assert answer("qwen2.5-3b-q4_k_m", room_with(total, 0)).verdict == "tight"
    room = room_with(total, 0)
    enough = (room.memory_mib * 105 // 100 - room.memory_mib) + 20
    assert answer("qwen2.5-3b-q4_k_m", room_with(total, enough)).verdict == "yes"


def test_a_tied_embedding_that_is_there_twice_makes_a_fit_tight():
    total = answer("qwen2.5-3b-q4_k_m", "pi5-8g").total_mib
    room = room_with(total, 200)
    assert answer("qwen2.5-3b-q4_k_m", room).verdict == "yes"
    assert answer("qwen2.5-3b-q4_k_m", replace(room, repacks=True)).verdict == "tight"


def test_an_architecture_that_was_never_compared_is_tight_at_best():
    model = replace(model_of("qwen2.5-3b-q4_k_m"), arch="another")
    found = fit(model, BOARDS["pi5-16g"], request_for(model, None))
    assert found.verdict == "tight"
    assert "not among those" in found.sentence


def test_the_flags_say_all_that_was_counted():
    found = answer("qwen2.5-3b-q4_k_m", "pi4-8g", ctx=4096)
    assert " ".join(found.flags) == (
        "-c 4096 -np 1 -ub 128 -t 4 --cache-ram 0 -ctk f16 -ctv f16 --load-mode mmap"
    )
    assert "-t" not in answer("qwen2.5-3b-q4_k_m", Room(8000)).flags


def test_copies_for_later_turns_are_counted_and_capped_by_a_flag():
    found = answer("qwen3.5-0.8b-q4_k_m", "pi5-8g")
    assert found.cache_mib > 0
    assert found.flags[found.flags.index("--ctx-checkpoints") + 1] == "4"


def test_the_usual_context_is_no_longer_than_the_one_trained_for():
    model = model_of("qwen2.5-3b-q4_k_m")
    assert request_for(model, None).ctx == 2048
    short = replace(model, ctx_train=512)
    assert request_for(short, None).ctx == 512
    found = fit(short, BOARDS["pi5-8g"], request_for(short, 4096))
    assert found.max_ctx == 512
    assert "trained for 512" in found.sentence


def test_a_node_with_less_than_the_reserve_has_nothing_for_a_model():
    assert Room(300).available_mib == 0
    assert answer("qwen2.5-3b-q4_k_m", Room(300)).verdict == "no"


# `llama-fit-params -np 1 -ub 128 -fa off --no-repack` of the pinned commit: the compute buffer in MiB.
WITHOUT_FLASH = [
    ("tinyllama-1.1b-q4_k_m", 8192, 137),
    ("smollm2-135m-q8_0", 8192, 41),
    ("llama-3.1-8b-q4_k_m", 8192, 143),
    ("qwen2.5-7b-q4_k_m", 8192, 125),
    ("phi-3-mini-q4_k_m", 8192, 139),
    ("gemma-3-1b-q4_k_m", 8192, 129),
]


@pytest.mark.parametrize(("name", "ctx", "taken_mib"), WITHOUT_FLASH)
def test_without_flash_attention_no_less_is_counted_than_is_taken(name, ctx, taken_mib):
    model = model_of(name)
    request = memory.Request(ctx=ctx, flash=False)
    assert memory.compute_bytes(model, request) >= taken_mib << 20
    assert memory.compute_bytes(model, request) >= memory.compute_bytes(
        model, memory.Request(ctx=ctx)
    )


def test_what_is_an_upper_bound_without_flash_attention_is_told_and_refuses_nothing():
    model = model_of("llama-3.1-8b-q4_k_m")
    room = Room(6500, cores=4)
    request = memory.Request(ctx=8192)
    assert fit(model, room, request).verdict in ("yes", "tight")
    found = fit(model, room, replace(request, flash=False))
    assert found.verdict == "unknown"
    assert "takes at most" in found.sentence
    assert "heads are counted as 32 wide" in found.doubt
