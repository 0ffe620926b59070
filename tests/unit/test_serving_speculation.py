"""Guesses by what was said before: their arguments, what is refused, and what they take."""

from pathlib import Path

import pytest

from bramble.fit import memory
from bramble.fit.verdict import Room, fit
from bramble.fleet import prepare
from bramble.llama.arguments import known
from bramble.models import gguf
from bramble.models.geometry import geometry
from bramble.roles.serving.speculation import BY_MODEL, KINDS, SET_BY, Speculation
from tests.shapes.models import all_shapes
from tests.unit.good_node import node_plan, settings

MIB = 1 << 20


def added(**changes):
    """The arguments that these settings of speculation add."""
    usual, found = node_plan().roles["serving"].argv, node_plan(serving={"speculation": changes})
    return [word for word in found.roles["serving"].argv if word not in usual]


def faults(commit=None, serving=None, **changes):
    """What is wrong with these settings, and what is warned of."""
    engine = {"source": {"git": {"commit": commit}}} if commit else {}
    sections = settings(serving={**(serving or {}), "speculation": changes}, engine=engine)
    prepared = prepare(Path("/inventory"), (sections,))
    found = sections["serving"]
    said = [str(one) for one in found.faults(sections, "pi5-a", prepared)]
    return said, found.warnings(sections, "pi5-a", prepared)


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({}, []),
        (
            {"type": "ngram-simple"},
            ["ngram-simple", "size-n 12", "size-m 48"],
        ),
        (
            {"type": "ngram-map-k", "match_tokens": 8, "draft_tokens": 4},
            ["ngram-map-k", "size-n 8", "size-m 4"],
        ),
        (
            {"type": "ngram-map-k4v", "min_hits": 2},
            ["ngram-map-k4v", "size-n 12", "size-m 48", "min-hits 2"],
        ),
        (
            {"type": "ngram-mod"},
            ["ngram-mod", "n-match 24", "n-max 64", "n-min 48"],
        ),
        (
            {"type": "ngram-mod", "draft_tokens": 16},
            ["ngram-mod", "n-match 24", "n-max 16", "n-min 16"],
        ),
        (
            {"type": "ngram-mod", "fewest_tokens": 0},
            ["ngram-mod", "n-match 24", "n-max 64", "n-min 0"],
        ),
    ],
)
def test_a_type_is_given_with_every_value_that_it_uses(changes, arguments):
    kind, *values = arguments or [None]
    expected = [f"--spec-type {kind}", *(f"--spec-{kind}-{word}" for word in values)]
    assert added(**changes) == (expected if kind else [])


def test_the_pinned_build_has_each_type_and_each_argument():
    types = known().find("--spec-type").value.split(",")
    assert {*KINDS} <= {*types}
    # The others need a model, or keep statistics of earlier conversations (ngram-cache).
    assert {name for name in types if name.startswith("ngram")} - {*KINDS} == {"ngram-cache"}
    assert all(known().find(name) for name in SET_BY)


@pytest.mark.parametrize(
    ("changes", "serving", "said"),
    [
        ({"draft_tokens": 8}, {}, "draft_tokens: type none has no use for it"),
        ({"type": "ngram-simple", "min_hits": 2}, {}, "min_hits: type ngram-simple has no use"),
        ({"type": "ngram-map-k", "min_hits": 2}, {}, "min_hits: type ngram-map-k has no use"),
        ({"type": "ngram-map-k", "fewest_tokens": 2}, {}, "fewest_tokens: type ngram-map-k has no"),
        ({"type": "ngram-simple", "draft_tokens": 8}, {}, "never guesses: set it to at least as"),
        ({"type": "ngram-mod", "fewest_tokens": 65}, {}, "it is more than draft_tokens, 64"),
        ({"type": "ngram-mod"}, {"task": "embeddings"}, "type: it is for task chat"),
        ({"type": "ngram-mod"}, {"slots": 2}, "2 x (64 + 1) tokens are more than serving.ubatch"),
        ({"type": "ngram-mod"}, {"ubatch_tokens": 64}, "end itself: set it to at most 63"),
    ],
)
def test_what_means_nothing_and_what_the_server_would_not_survive_is_refused(
    changes, serving, said
):
    (found,), _ = faults(serving=serving, **changes)
    assert said in found
    assert found.startswith("speculation.")


@pytest.mark.parametrize("name", sorted({*KINDS} - {BY_MODEL}))
def test_a_type_is_good_as_it_comes(name):
    assert faults(type=name) == ([], ())


def test_of_another_commit_nobody_knows_whether_it_has_the_type():
    _, (warned,) = faults(commit="e" * 40, type="ngram-mod")
    assert "speculation ngram-mod" in warned
    assert faults(commit="e" * 40) == ([], ())


def test_what_guesses_take_is_counted():
    model = geometry(gguf.read(all_shapes()["qwen2.5-0.5b-q4_k_m"].header()))
    plain = memory.Request(ctx=2048)
    requests = {
        name: settings(serving={"speculation": {"type": name}})["serving"].request
        for name in ("none", *KINDS)
    }
    assert requests["none"] == plain
    # 49 or 65 rows of 151936 logits of four bytes each.
    for name, rows in (("ngram-simple", 49), ("ngram-mod", 65)):
        tables_bytes = requests[name].tables_bytes
        assert memory.output_bytes(model, requests[name]) - tables_bytes == rows * 151936 * 4
    assert requests["ngram-simple"].tables_bytes == 0
    assert requests["ngram-mod"].tables_bytes == 16 * MIB
    assert requests["ngram-map-k"].tables_bytes == MIB + 3 * 88 * 2048
    totals = {name: fit(model, Room(4000), one).total_mib for name, one in requests.items()}
    more = {name: total - totals["none"] for name, total in totals.items()}
    assert more["none"] == 0
    assert more["ngram-simple"] in (28, 29)
    assert more["ngram-map-k4v"] in (30, 31)
    assert more["ngram-mod"] in (53, 54, 55)


def test_what_cannot_be_rolled_back_is_copied_once_more_for_guesses():
    model = geometry(gguf.read(all_shapes()["gemma-3-1b-q4_k_m"].header()))
    copies = [
        memory.checkpoint_bytes(model, memory.Request(ctx=8192, drafted=drafted, checkpoints=4))
        for drafted in (0, 48)
    ]
    assert copies[0] > 0
    assert copies[1] * 4 == copies[0] * 5


def test_tables_are_each_conversations_own_but_for_the_one_that_all_share():
    assert Speculation(type="ngram-mod").table_bytes(1024, 4) == 16 * MIB
    assert Speculation(type="ngram-map-k4v").table_bytes(1024, 4) == 4 * (MIB + 264 * 1024)
