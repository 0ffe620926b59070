"""Bytes, waits and times of a token, against what programs printed and what was published."""

from dataclasses import replace

import pytest

from bramble.cluster import network, points, refit, speed
from bramble.cluster.points import POINTS, held
from bramble.cluster.shapes import PUBLISHED, Shape
from bramble.cluster.speed import Link

DEMO = Shape("llama", 256, 1024, 4, 4, 2, 64, 512)
DIRECT = Link()


# Bytes and waits


@pytest.mark.parametrize(("nodes", "sent", "received"), [(2, 3.2, 4.2), (4, 9.6, 9.6)])
def test_the_root_sends_and_gets_what_the_program_prints(nodes, sent, received):
    """Of the demo model, in kB; the root sends each worker its place and numbers besides."""
    found = network.mesh(DEMO, nodes)
    own = (nodes - 1) * (8 + 4 * DEMO.embedding)
    assert abs((found.sent_bytes + own) / 1e3 - sent) < 0.1
    assert abs((found.sent_bytes + found.root_receives_bytes) / 1e3 - received) < 0.2


@pytest.mark.parametrize(("nodes", "kib"), [(2, 544), (4, 1632), (8, 3808)])
def test_the_8b_sends_what_the_readme_says(nodes, kib):
    """Its figures are sent and received together."""
    assert round(2 * network.mesh(PUBLISHED["llama-3.1-8b"], nodes).sent_bytes / 1024) == kib


def test_the_3b_of_pr_136_is_told_by_its_bytes():
    assert network.mesh(PUBLISHED["llama-3.2-3b"], 2).sent_bytes // 1024 == 178


def test_the_8b_sends_and_waits_as_the_reference_computes():
    shape = PUBLISHED["llama-3.1-8b"]
    sent = [network.mesh(shape, n).sent_bytes / 1e6 for n in (2, 4, 8)]
    assert [round(one, 2) for one in sent] == [0.28, 0.84, 1.95]
    logits = [network.mesh(shape, n).root_receives_bytes / 1e6 for n in (2, 4, 8)]
    assert [round(one, 2) for one in logits] == [0.26, 0.38, 0.45]
    assert {network.mesh(shape, n).waits for n in (2, 4, 8)} == {66}
    assert network.mesh(DEMO, 2).waits == 10
    assert network.mesh(shape, 1).waits == 0


def test_rpc_waits_as_measured():
    """Tensors: 40 delays of the 4 layers and 879 kB; of 32 layers 320 and 7 MB."""
    assert network.rpc_tensor(DEMO).waits == 40
    assert network.rpc_tensor(DEMO).sent_bytes == network.rpc_tensor(DEMO).most_bytes == 879_000
    eight = network.rpc_tensor(PUBLISHED["llama-3.1-8b"])
    assert (eight.waits, round(eight.sent_bytes / 1e6)) == (320, 7)
    assert eight.most_bytes > eight.sent_bytes
    assert network.rpc_layers(4096, 128256, 3).waits == pytest.approx(6.9)
    assert network.rpc_layers(4096, 128256, 3).sent_bytes == 3 * 8 * 4096


# Times


@pytest.mark.parametrize(
    ("name", "gb"),
    [
        ("llama-2-7b", 3.72),
        ("llama-3.1-8b", 4.22),
        ("llama-2-13b", 7.23),
        ("llama-2-70b", 38.7),
        ("qwen3-30b-a3b", 1.70),
        ("llama-3.2-3b", 1.81),
    ],
)
def test_a_token_reads_what_the_reference_computes(name, gb):
    assert speed.read_bytes(PUBLISHED[name]) / 1e9 == pytest.approx(gb, abs=0.05)


def ends(name, family, nodes):
    """Tokens/s of an interval without the spread of points: what the reference's table has."""
    shape = PUBLISHED[name]
    found = speed.mesh(shape, family, nodes, network.mesh(shape, nodes), DIRECT)
    spread = 1 + speed.mesh_constants(family, nodes).spread
    return 1e3 / (found.high / spread), 1e3 / (found.low * spread)


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("llama-3.2-3b", [(1.6, 1.6), (3.0, 3.2), (5.3, 6.1), (4.5, 10.6)]),
        ("llama-3.1-8b", [(0.7, 0.7), (1.3, 1.4), (2.5, 2.7), (2.7, 4.9)]),
        ("qwen3-14b", [(0.4, 0.4), (0.7, 0.7), (1.4, 1.5), (1.6, 2.7)]),
    ],
)
def test_a_pi_4_mesh_is_as_the_reference_computes(name, spans):
    for nodes, (low, high) in zip((1, 2, 4, 8), spans, strict=True):
        found = ends(name, "pi4", nodes)
        assert found == pytest.approx((low, high), abs=0.06), nodes


@pytest.mark.parametrize(
    ("name", "nodes", "tokens_per_s"),
    [
        ("llama-3.1-8b", 4, 5.7),
        ("llama-3.1-8b", 8, 9.7),
        ("qwen3-30b-a3b", 4, 13.0),
        ("llama-3.2-3b", 4, 12.6),
        ("llama-3.2-3b", 8, 19.8),
        ("llama-3.3-70b", 8, 1.2),
    ],
)
def test_a_pi_5_mesh_is_at_best_as_the_reference_computes(name, nodes, tokens_per_s):
    assert ends(name, "pi5", nodes)[1] == pytest.approx(tokens_per_s, abs=0.06)


def test_few_pi_5_are_between_the_two_versions_that_are_known():
    low, high = ends("llama-3.1-8b", "pi5", 1)
    assert (round(low, 2), round(high, 2)) == (1.51, 2.01)
    assert low < 1.77 < high  # published for 0.3.1


def test_the_intervals_are_wider_than_the_errors_of_what_they_were_fitted_to():
    for one in held():
        if one.point.engine == "dllama" and one.point.fitted:
            assert one.contained, one.point


def test_beyond_eight_nodes_nothing_is_predicted():
    shape = PUBLISHED["llama-2-7b"]
    assert speed.mesh(shape, "pi4", 16, network.mesh(shape, 16), DIRECT) is None
    assert speed.mesh(shape, "", 2, network.mesh(shape, 2), DIRECT) is None
    assert "nothing is published of pi4 with 16 nodes" in speed.mesh_about("pi4", 16)


@pytest.mark.parametrize(
    ("name", "mb_s"),
    [("llama-3.1-8b", 12.6), ("llama-2-7b", 12.4), ("llama-2-13b", 9.9), ("llama-2-70b", 5.9)],
)
def test_what_a_switch_must_carry_for_eight_to_beat_four(name, mb_s):
    shape = PUBLISHED[name]
    few, many = ((n, network.mesh(shape, n)) for n in (4, 8))
    found = speed.must_carry_mb_s(shape, "pi4", few, many)
    assert round(found, 1) == mb_s
    at = Link(mb_s=found)
    times = [
        speed._computing(shape, n, 2.94, 0.5) + t.wire_bytes[0] / (at.mb_s if n == 8 else 117) / 1e3
        for n, t in (few, many)
    ]
    assert times[0] == pytest.approx(times[1])


def test_eight_are_nine_tenths_to_almost_twice_four():
    """The reference's line, of its models on a Pi 4."""
    found = {}
    for name in ("llama-3.2-3b", "llama-3.1-8b"):
        shape = PUBLISHED[name]
        few, many = ((n, network.mesh(shape, n)) for n in (4, 8))
        found[name] = speed.scaling(shape, "pi4", few, many, DIRECT)
    assert min(found.values())[0] == pytest.approx(0.86, abs=0.04)
    assert max(high for _, high in found.values()) == pytest.approx(1.8, abs=0.05)


def test_layers_over_rpc_are_as_fast_as_one_board_on_any_number():
    """A CM5's 12.3 GB/s, and a 70B of 42.5 GB: 0.29 tokens/s."""
    for nodes in (4, 8, 10):
        traffic = network.rpc_layers(8192, 128256, nodes)
        read = [(42.5e9 / nodes, (12.3, 12.3))] * nodes
        low, high = speed.rpc_layers(read, traffic, DIRECT).tokens_per_s
        assert round(low, 2) == round(high, 2) == 0.29


def test_the_network_takes_an_hundredth_of_layers_over_rpc():
    traffic = network.rpc_layers(4096, 128256, 4)
    alone = speed.one_node(4.5e9, (3.4, 3.4))
    split = speed.rpc_layers([(4.5e9 / 4, (3.4, 3.4))] * 4, traffic, DIRECT)
    assert 1 < split.middle / alone.middle < 1.01


def test_tensors_over_rpc_pay_for_what_they_send():
    """Of 32 layers 60 ms on the wire, and 40 of waiting."""
    shape = PUBLISHED["llama-3.1-8b"]
    found = speed.rpc_tensor(0, (10, 10), network.rpc_tensor(shape), DIRECT)
    assert found.low == pytest.approx(60 + 38.4, abs=1)
    assert found.high > found.low


@pytest.mark.parametrize("nodes", [2, 4, 8])
def test_a_worse_link_is_slower(nodes):
    shape = PUBLISHED["llama-3.1-8b"]
    traffic = network.mesh(shape, nodes)
    bands = [
        speed.mesh(shape, "pi5", nodes, traffic, link)
        for link in (Link(), Link(mb_s=11), Link(delay_ms=2.12), Link(mb_s=11, delay_ms=2.12))
    ]
    assert bands[0].low < bands[1].low < bands[3].low
    spread = 1 + speed.mesh_constants("pi5", nodes).spread
    assert (bands[2].low - bands[0].low) * spread == pytest.approx(66 * 2)
    assert all(one.low <= one.middle <= one.high for one in bands)


def test_a_delay_below_the_assumed_one_is_no_gain_that_was_fitted():
    shape = PUBLISHED["llama-3.1-8b"]
    traffic = network.mesh(shape, 4)
    assert speed.mesh(shape, "pi5", 4, traffic, Link(delay_ms=0.01)) == speed.mesh(
        shape, "pi5", 4, traffic, DIRECT
    )


# Published points

# The reference's own errors of the likeliest time, in percent.
ERRORS = {
    ("0.1.0", "llama-2-7b"): [4.8, -2.8, 0.9, 11.6],
    ("0.1.0", "llama-2-13b"): [-6.0, 1.3, -6.2],
    ("0.1.0", "llama-2-70b"): [-16.8],
    ("0.3.1", "llama-2-7b"): [10.0, 0.5, 13.4],
    ("0.3.1", "llama-3-8b"): [-3.5, -13.3, -15.1],
    ("0.7.1", "llama-3-8b"): [1.8, -9.4],
    ("0.7.1", "tinyllama-1.1b"): [-1.9],
    ("0.16", "llama-3.1-8b"): [0.3],
}


@pytest.mark.parametrize("key", ERRORS)
def test_the_error_of_each_point_is_the_references(key):
    found = [
        round(100 * one.error, 1) for one in held() if (one.point.version, one.point.model) == key
    ]
    assert found == pytest.approx(ERRORS[key], abs=0.7)


def test_predictions_contain_nine_tenths_of_the_points():
    found = held()
    assert sum(one.contained for one in found) >= points.NEEDED_SHARE * len(found)
    clusters = [one for one in found if one.point.engine == "dllama"]
    assert sum(one.contained for one in clusters) >= points.NEEDED_SHARE * len(clusters)


def test_the_points_are_all_that_the_reference_has():
    clusters = [one for one in POINTS if one.engine == "dllama"]
    published = {
        (one.version, one.board, one.nodes, one.model, round(one.ms, 2)) for one in clusters
    }
    assert len(published) == len(clusters) == 22
    assert {round(1e3 / one.ms, 2) for one in clusters if one.version == "0.1.0"} == {
        *(0.76, 1.26, 2.02, 1.70),
        *(0.67, 1.18, 0.90, 0.21),
    }
    assert all(one.source for one in POINTS)


def test_what_is_missed_is_told_why():
    missed = [one.point for one in held() if not one.contained]
    assert {(one.engine, one.version) for one in missed} == {("dllama", "0.10.6"), ("rpc", "")}
    assert all(one.note for one in missed)


def test_intervals_say_something():
    """An interval that held any point would be no prediction."""
    for one in held():
        assert one.band.high / one.band.low < 2.5, one.point


# Fits without a point


def test_a_fit_finds_the_constants_that_times_were_made_with():
    known = speed.Star(3.3, 2.5, 0, (40, 14), 0.1)
    made = [
        replace(
            one, ms=speed.star(PUBLISHED[one.model], known, one.nodes, one.sent_kb * 1e3).middle
        )
        for one in POINTS
        if one.version == "0.1.0"
    ]
    found = refit.fitted(made, replace(known, gb_s=1, layer_ms=9))
    assert (found.gb_s, found.layer_ms) == (pytest.approx(3.3), pytest.approx(2.5))


def test_a_point_is_not_fitted_to_itself(monkeypatch):
    """A time that nothing else is like is missed when it is left out, and moves the others."""
    before = {one.point.nodes: one for one in refit.left_out() if one.point.model == "llama-2-13b"}
    spoiled = tuple(
        replace(one, ms=9 * one.ms) if (one.model, one.nodes) == ("llama-2-13b", 4) else one
        for one in POINTS
    )
    monkeypatch.setattr(refit, "POINTS", spoiled)
    after = {one.point.nodes: one for one in refit.left_out() if one.point.model == "llama-2-13b"}
    assert after[4].band == before[4].band
    assert not after[4].contained
    assert after[2].band != before[2].band


def test_intervals_are_as_wide_as_what_was_left_out_asks_for():
    found = refit.left_out()
    assert len(found) == 8
    assert all(one.contained for one in found)
    worst = max(abs(one.error) for one in found if one.point.nodes == 1)
    assert 0.15 < worst < speed.OLD_SPREAD
