"""Plans of whole clusters: which ways fit, the root, the sentences, and what is not known."""

from dataclasses import replace
from pathlib import Path

import pytest

from bramble.cluster import benches, boards, named, plan, points, shapes, told, ways
from bramble.cluster.boards import BoardsError
from bramble.cluster.speed import Link
from bramble.fit.verdict import Room, request_for
from bramble.models import gguf
from bramble.models.geometry import geometry
from tests.shapes.models import all_shapes
from tests.unit.good_result import result

ROOT = Path(__file__).parents[3]


def planned(model, text, ctx=None, link=None):
    chosen = named.published(model)
    nodes = boards.parsed(text)
    return plan.plan(chosen, nodes, request_for(chosen.geometry, ctx), link or Link())


def way(found, name):
    return next(one for one in found.ways if one.name == name)


# Boards


def test_boards_are_read_as_people_write_them():
    names = [one.name for one in boards.parsed("pi5-8g, pi4-4g*2")]
    assert names == ["pi5-8g", "pi4-4g", "pi4-4g"]
    assert boards.named(boards.parsed("pi5-8g,pi4-4g*2")) == "pi5-8g, pi4-4g*2"


@pytest.mark.parametrize(
    ("text", "found", "allowed"),
    [
        ("pi6-8g*4", '"pi6-8g" is no board', "did you mean pi5-8g?"),
        ("toaster", '"toaster" is no board', "known: pi4-1g"),
        ("pi4-8g*0", "0 boards of pi4-8g", "1 to 32"),
        ("pi4-8g*33", "33 boards of pi4-8g", "1 to 32"),
        ("pi4-8g*20,pi5-8g*20", "40 boards", "at most 32"),
        ("pi4-8g*", '"pi4-8g*" is no board', "BOARD*COUNT"),
        ("", '"" is no board', "known: pi4-1g"),
        ("pi4-8g,,pi5-8g", '"" is no board', "commas between"),
        ("pi4-8g*-1", '"pi4-8g*-1" is no board', "BOARD*COUNT"),
    ],
)
def test_what_are_no_boards_is_refused_with_what_are(text, found, allowed):
    with pytest.raises(BoardsError) as caught:
        boards.parsed(text)
    said = str(caught.value)
    assert said.startswith(f"--boards {text}: ")
    assert found in said
    assert allowed in said


def test_the_root_is_the_board_with_most_memory():
    found = planned("llama-3.1-8b", "pi4-2g*2,pi5-4g,pi4-2g")
    assert found.nodes[0].name == "pi5-4g"
    for one in found.ways:
        assert [share.root for share in one.shares].count(True) <= 1
    assert way(found, "dllama").shares[0] == ways.Share("pi5-4g", True, None, 3182, 3608)


def test_one_small_root_is_refused_with_what_it_needs():
    """The embedding is the root's, however many boards there are."""
    found = way(planned("llama-3.3-70b", "pi5-8g*8"), "dllama")
    assert found.verdict == "no"
    assert found.why.startswith("pi5-8g as the root needs 8878 MiB and has 7550 for it. ")
    assert way(planned("llama-3.3-70b", "pi5-8g*7,pi5-16g"), "dllama").fits


def test_a_host_with_too_little_is_named():
    nodes = [
        boards.node("a", "pi5", Room(8063)),
        boards.node("b", "pi5", Room(8063)),
        boards.node("c", "pi5", Room(8063)),
        boards.node("small", "pi5", Room(906)),
    ]
    chosen = named.published("llama-3.1-8b")
    found = plan.plan(chosen, nodes, request_for(chosen.geometry, None), Link())
    split = way(found, "dllama")
    assert split.verdict == "no"
    assert split.why.startswith("small needs 1229 MiB and has ")
    assert "a needs" not in split.why
    layers = way(found, "rpc layers")
    assert layers.fits
    given = {one.node: one.layers for one in layers.shares}
    assert given["small"] < min(given["a"], given["b"], given["c"])
    # The output's matrix is the last one's, so that is a large board.
    assert layers.shares[0].node == "a"
    assert layers.shares[-1].node in ("b", "c")


# Numbers


@pytest.mark.parametrize(
    ("model", "text", "words"),
    [
        ("llama-3.1-8b", "pi5-8g*3", "cannot be divided by 3. Take 2, 4 or 8 boards"),
        ("llama-3.1-8b", "pi5-8g*16", "Take 2, 4 or 8 boards"),
        ("qwen3-30b-a3b", "pi5-8g*8", "Take 2 or 4 boards. A conversion that writes each KV head"),
        ("qwen2.5-7b", "pi5-8g*2", "this model is qwen2. Take another model, such as llama-3.1-8b"),
    ],
)
def test_a_number_that_cannot_be_split_is_refused_with_those_that_can(model, text, words):
    found = way(planned(model, text), "dllama")
    assert found.verdict == "no"
    assert words in found.why
    assert found.tokens_per_s is None


@pytest.mark.parametrize("text", ["pi5-8g*3", "pi5-8g*4"])
def test_tensors_over_rpc_are_for_two(text):
    found = way(planned("llama-3.1-8b", text), "rpc tensor")
    assert found.verdict == "no"
    assert "exactly two" in found.why
    assert way(planned("llama-3.1-8b", "pi5-8g*2"), "rpc tensor").fits


def test_tensors_over_rpc_want_kv_heads_that_halve():
    chosen = named.published("llama-3.1-8b")
    odd = replace(chosen, shape=replace(chosen.shape, kv_heads=3))
    nodes = boards.parsed("pi5-8g*2")
    found = ways.rpc_tensor(odd, nodes, request_for(chosen.geometry, None), Link())
    assert (found.verdict, "nonsense" in found.why) == ("no", True)


def test_whether_tensors_fit_is_not_known_between_the_two_bounds():
    chosen = named.published("llama-3.1-8b")
    request = request_for(chosen.geometry, None)
    least, most = (ways._tensor_mib(chosen, request, most=one)[0] for one in (False, True))
    verdicts = {}
    for free in (least - 1, least, most - 1, most):
        # The reserve is 352 MiB and 2 % of all.
        nodes = [boards.node("pi5-8g", "pi5-8g", Room(9000, others_mib=9000 - 532 - free))] * 2
        verdicts[free] = ways.rpc_tensor(chosen, nodes, request, Link()).verdict
    assert [*verdicts.values()] == ["no", "unknown", "unknown", "tight"]


def test_one_board_is_no_cluster():
    found = planned("llama-3.1-8b", "pi5-8g")
    assert [one.name for one in found.ways] == ["one node"]


def test_without_numbers_of_heads_it_cannot_tell():
    read = geometry(gguf.read(all_shapes()["gemma-3-1b-q4_k_m"].header()))
    chosen = ways.Planned("gemma", read, shapes.parts_about(read), None)
    found = plan.plan(chosen, boards.parsed("pi5-8g*2"), request_for(read, None), Link())
    assert {one.name: one.verdict for one in found.ways} == {
        "one node": "yes",
        "rpc layers": "yes",
        "rpc tensor": "unknown",
        "dllama": "unknown",
    }
    assert any(
        one.startswith("whether dllama fits: its numbers of heads") for one in found.not_known
    )


def test_a_model_that_caches_hold_has_no_speed():
    chosen = named.published("qwen3-0.6b")
    tiny = replace(
        chosen,
        geometry=replace(
            chosen.geometry, weights=replace(chosen.geometry.weights, active_bytes=1 << 20)
        ),
    )
    found = plan.plan(tiny, boards.parsed("pi5-8g*2"), request_for(chosen.geometry, None), Link())
    assert all(one.tokens_per_s is None for one in found.ways)
    assert any("caches" in one for one in found.not_known)


def test_boards_that_nobody_published_have_no_speed():
    nodes = [boards.node("x", "orange-pi", Room(8000))] * 2
    chosen = named.published("llama-3.1-8b")
    found = plan.plan(chosen, nodes, request_for(chosen.geometry, None), Link())
    assert all(one.fits and one.tokens_per_s is None for one in found.ways)
    assert any(
        one.startswith("the speed of one node: x is no Pi 4 or 5") for one in found.not_known
    )
    assert {one.watts for one in found.ways} == {None}


SHAPES = all_shapes()


@pytest.mark.parametrize("name", SHAPES)
def test_any_model_can_be_planned(name):
    """Windows, states, mixtures: what is not split by heads is told, and nothing is left out."""
    header = gguf.read(SHAPES[name].header())
    read = geometry(header)
    parts = shapes.parts_of_header(header, read)
    chosen = ways.Planned(name, read, parts, shapes.of_header(header))
    for text in ("pi4-1g", "pi5-8g*2", "pi4-2g*3", "pi5-16g,pi4-4g*7"):
        found = plan.plan(chosen, boards.parsed(text), request_for(read, None), Link())
        assert told.text(found).startswith(name)
        layers = way(found, "rpc layers") if len(found.ways) > 1 else None
        if layers and layers.fits:
            assert sum(one.layers for one in layers.shares) == len(read.layers)
            taken = sum(one.needed_mib for one in layers.shares)
            assert taken << 20 > read.weights.file_bytes


@pytest.mark.parametrize("name", SHAPES)
def test_sums_alone_give_about_the_parts_of_the_file(name):
    header = gguf.read(SHAPES[name].header())
    read = geometry(header)
    said, about = shapes.parts_of_header(header, read), shapes.parts_about(read)
    assert about.layer == pytest.approx(said.layer, rel=0.01)
    assert about.read == pytest.approx(said.read, rel=0.01)
    assert about.output == pytest.approx(said.output, rel=0.01)


# Sentences


def said(model, text, link=None):
    return " ".join(f"{one}." for one in planned(model, text, link=link).sentences)


def test_one_larger_board_may_be_faster():
    assert "One Pi 5 with 16 GB is faster: " in said("qwen3-14b", "pi4-8g*2")
    assert "One Pi 5 with 8 GB is faster: 2.2 to 3 tokens/s" in said("llama-3.1-8b", "pi4-4g*2")


def test_where_intervals_meet_nothing_is_decided():
    assert "One Pi 5 with 8 GB may be as fast" in said("llama-3.1-8b", "pi4-8g*4")


def test_a_cluster_that_is_faster_says_by_how_much():
    words = said("llama-3.1-8b", "pi5-8g*4")
    assert "One pi5-8g alone is slower: 2.2 to 3 tokens/s" in words
    assert "x as fast" in words


def test_layers_over_rpc_are_never_sold_as_speed():
    words = said("qwen2.5-7b", "pi5-8g*3")
    assert "One pi5-8g alone is as fast, and wants no network" in words
    assert "more boards add memory, and no speed" in words


def test_eight_are_compared_with_four_by_the_switch():
    words = said("llama-3.1-8b", "pi4-8g*8")
    assert "8 nodes: 1.1 to 1.8 x of 4, depending on the switch" in words
    assert "more than 12.6 MB/s" in words
    assert "depending on the switch" not in said("llama-3.1-8b", "pi4-8g*4")
    # Four of them do not hold it, so there is nothing to compare with.
    assert "depending on the switch" not in said("llama-2-70b", "pi4-8g*8")


def test_what_the_network_must_give_is_said_until_it_is_given():
    assert "at 100 Mbit/s dllama gives" in said("llama-3.1-8b", "pi5-8g*4")
    assert "at 100 Mbit/s" not in said("llama-3.1-8b", "pi5-8g*4", Link(mb_s=100))
    given = planned("llama-3.1-8b", "pi5-8g*4", link=Link(mb_s=100, delay_ms=0.2))
    assert not any("your switch" in one or "assumed" in one for one in given.not_known)


def test_speeds_are_said_to_be_with_an_empty_context():
    words = said("llama-3.1-8b", "pi4-8g*4")
    assert "a full one reads 0.27 GB more for each token" in words  # 32 x 2 x 1024 x 2 x 2048
    assert "nearly empty" not in said("llama-3.3-70b", "pi4-8g*2")


def test_what_fits_nowhere_says_so():
    assert said("llama-3.3-70b", "pi4-8g*2").startswith("None of these ways holds llama-3.3-70b")


def test_experimental_ways_are_not_chosen():
    found = planned("qwen2.5-7b", "pi5-8g*2")
    assert way(found, "rpc tensor").tokens_per_s > way(found, "rpc layers").tokens_per_s
    assert plan.best(found.ways).name == "rpc layers"


def test_watts_are_of_the_boards_that_compute():
    found = planned("llama-3.1-8b", "pi4-8g*4")
    assert way(found, "one node").watts == (6, 9)
    assert way(found, "rpc layers").watts == (6 + 9, 9 + 9)
    assert way(found, "dllama").watts == (24, 36)
    mixed = boards.parsed("pi4-8g,pi5-8g")
    assert boards.watts(mixed, 1) == (6 + 3, 13 + 3)


def test_the_slowest_board_sets_the_pace():
    fast, slow, mixed = (
        way(planned("llama-3.1-8b", text), "dllama").tokens_per_s
        for text in ("pi5-8g*4", "pi4-8g*4", "pi5-8g*3,pi4-8g")
    )
    assert mixed == slow < fast


def test_the_articles_page_quotes_what_plans_say():
    page = (ROOT / "docs" / "explanation" / "articles.md").read_text(encoding="utf-8")
    rows = page.partition("## Clusters")[2].partition("\n## ")[0]
    eight = way(planned("llama-3-8b", "pi4-8g*8"), "dllama")
    assert rows.count(f"{plan.band(eight.tokens_per_s)}") == 2
    assert eight.watts == (48, 72)
    assert "24 to 36 and 48 to 72" in rows
    four = way(planned("qwen3-30b-a3b", "pi4-8g*4"), "dllama")
    assert f"root {four.shares[0].needed_mib} MiB" in rows
    times = {(one.version, one.model, one.nodes): one.ms for one in points.POINTS}
    seven = [times["0.1.0", "llama-2-7b", nodes] for nodes in (1, 4, 8)]
    for ms in seven[1:]:
        assert f"{seven[0] / ms:.2f} ×" in rows


# Measured


def test_a_benchmark_takes_the_place_of_published_figures():
    made = result((1.7, 1.8))
    node = boards.node("pi4-a", made.board.kind, Room(7800))
    found = benches.measured(node, made.board.kind, [made])
    read = made.model.dimensions.geometry.weights.active_bytes / 1e9
    assert found.gb_s == (1.7 * read, 1.8 * read)
    assert "measured on pi4-a" in found.source


@pytest.mark.parametrize("spoil", ["none", "other board", "held back", "unknown model"])
def test_without_a_benchmark_to_go_by_it_says_what_to_do(spoil):
    made = result((1.7, 1.8), in_runs={"held_back": ("throttled",)} if spoil == "held back" else {})
    if spoil == "unknown model":
        made = made.model_copy(update={"model": made.model.model_copy(update={"dimensions": None})})
    kind = "pi5" if spoil == "other board" else made.board.kind
    node = boards.node("pi4-a", kind, Room(7800))
    with pytest.raises(benches.NoBench, match="run `bramble bench pi4-a`"):
        benches.measured(node, kind, [] if spoil == "none" else [made])
