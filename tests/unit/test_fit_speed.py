"""How fast a model can be: the bound by what memory gives, and what is to be thought of a claim."""

from dataclasses import replace

import pytest

from bramble.fit.memory import Request
from bramble.fit.speed import PUBLISHED, judge, measured, speed
from bramble.models import gguf
from bramble.models.geometry import geometry
from tests.shapes.models import all_shapes

SHAPES = all_shapes()


def found(name, board, ctx=2048):
    model = geometry(gguf.read(SHAPES[name].header()))
    bandwidth = PUBLISHED[board] if isinstance(board, str) else measured(board)
    return speed(model, bandwidth, Request(ctx=ctx))


# Published runs: Ollama on a Pi 4 (but for the Pi 400's llama-bench), llama-bench on a CM5, Ollama and
# potato-os on a Pi 5. The fit's own figures come from the same sources: this holds their arithmetic.
PUBLISHED_RUNS = [
    ("pi4", "qwen2.5-0.5b-q4_k_m", 7.92),
    ("pi4", "qwen2.5-1.5b-q4_k_m", 3.54),
    ("pi4", "qwen2.5-3b-q4_k_m", 1.74),
    ("pi4", "llama-3.2-3b-q4_k_m", 1.60),
    ("pi4", "qwen2.5-7b-q4_k_m", 0.78),
    ("pi4", "llama-3.1-8b-q4_k_m", 0.70),
    ("pi4", "llama-3.1-8b-pruned-q4_k_m", 0.80),
    ("pi5", "llama-3.2-3b-q4_k_m", 6.07),
    ("pi5", "llama-3.2-3b-q4_k_m", 4.88),
    ("pi5", "llama-3.1-8b-q4_k_m", 2.17),
]


@pytest.mark.parametrize(("board", "name", "tokens_per_s"), PUBLISHED_RUNS)
def test_a_published_run_is_plausible(board, name, tokens_per_s):
    assert judge(tokens_per_s, found(name, board), fits=True).verdict == "plausible"


# The articles' own tables (docs/explanation/articles.md).
IMPOSSIBLE = [
    ("pi4", "qwen2.5-3b-q2_k", 6.1),
    ("pi4", "qwen2.5-3b-q4_k_m", 3.8),
    ("pi4", "qwen2.5-3b-q8_0", 2.1),
    ("pi4", "qwen2.5-0.5b-q4_k_m", 25.6),
    ("pi4", "phi-3-mini-q4_k_m", 4.1),
    ("pi4", "mistral-7b-v0.3-q4_k_m", 1.7),
]


@pytest.mark.parametrize(("board", "name", "tokens_per_s"), IMPOSSIBLE)
def test_a_figure_above_what_the_memory_gives_is_impossible(board, name, tokens_per_s):
    claim = judge(tokens_per_s, found(name, board), fits=True)
    assert claim.verdict == "impossible"
    assert claim.needs_gb_s > 5.56
    assert f"{tokens_per_s:g} tokens/s read" in claim.sentence
    assert "5.56 at most (STREAM" in claim.sentence


def test_a_figure_above_every_published_run_is_unlikely():
    claim = judge(8.5, found("qwen2.5-3b-q4_k_m", "pi5"), fits=True)
    assert claim.verdict == "unlikely"
    assert "more than any published run" in claim.sentence


def test_a_figure_far_below_is_explained():
    claim = judge(0.15, found("qwen2.5-7b-q4_k_m", "pi5"), fits=True)
    assert claim.verdict == "far below"
    for cause in ("throttled", "swapping", "threads", "desktop", "build", "full context"):
        assert cause in claim.sentence


def test_the_bounds_edges_are_exact():
    fast = found("qwen2.5-3b-q4_k_m", "pi4")
    assert judge(fast.most, fast, fits=True).verdict == "unlikely"
    assert judge(fast.most * 1.01, fast, fits=True).verdict == "impossible"
    assert judge(fast.usual[1], fast, fits=True).verdict == "plausible"
    assert judge(fast.usual[0] * 0.76, fast, fits=True).verdict == "plausible"
    assert judge(fast.usual[0] * 0.74, fast, fits=True).verdict == "far below"


def test_what_does_not_fit_is_read_from_the_disk_and_no_claim_is_plausible():
    claim = judge(0.5, found("llama-3.1-8b-q4_k_m", "pi4"), fits=False)
    assert (claim.verdict, "read from the disk" in claim.sentence) == ("unlikely", True)


def test_what_was_measured_on_the_node_takes_the_place_of_what_is_published():
    fast = found("qwen2.5-3b-q4_k_m", 10.0)
    assert fast.most == pytest.approx(10e9 / fast.bytes_per_token, rel=0.05)
    assert fast.prefill is None
    assert judge(fast.most * 1.1, fast, fits=True).verdict == "impossible"
    assert "measured on the node" in judge(fast.most * 1.1, fast, fits=True).sentence


def test_a_full_context_is_read_for_every_token_too():
    short, long = (found("phi-3-mini-q4_k_m", "pi4", ctx) for ctx in (512, 4096))
    assert short.most == long.most
    assert long.most_full < short.most_full < short.most
    # 384 KiB a token: 32 layers, 32 heads of 96, keys and values, two bytes.
    assert long.bytes_per_token_full - long.bytes_per_token == 4096 * 384 << 10


def test_a_mixture_of_experts_goes_by_what_a_token_is_multiplied_with():
    dense, mixture = found("qwen2.5-3b-q4_k_m", "pi5"), found("qwen3-30b-a3b-q4_k_m", "pi5")
    assert mixture.most == pytest.approx(dense.most, rel=0.1)


def test_a_model_that_fits_into_caches_has_no_bound():
    model = geometry(gguf.read(SHAPES["qwen2.5-0.5b-q4_k_m"].header()))
    tiny = replace(model, weights=replace(model.weights, active_bytes=1 << 20))
    fast = speed(tiny, PUBLISHED["pi5"], Request(ctx=512))
    assert (fast.most, fast.usual, fast.prefill) == (None, None, None)
    assert judge(10_000, fast, fits=True).verdict == "unbounded"


@pytest.mark.parametrize(
    ("board", "name", "tokens_per_s"),
    [
        ("pi5", "llama-3.2-3b-q4_k_m", 15.08),
        ("pi4", "tinyllama-1.1b-q8_0", 10),
        ("pi5", "qwen3-30b-a3b-q4_k_m", 10.91),
    ],
)
def test_a_published_prefill_lies_in_the_range(board, name, tokens_per_s):
    low, high = found(name, board).prefill
    assert 0.95 * low <= tokens_per_s <= 1.05 * high
