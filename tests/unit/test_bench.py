"""What a benchmark shows: a bound, a reason for a low figure, a comparison, and a chart."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from good_result import dimensions, result, run

from bramble.bench import articles, verdict
from bramble.bench.chart import page
from bramble.bench.result import Board, Model, keep, kept, read
from bramble.fit.speed import PUBLISHED

SLOW = (0.60, 0.61, 0.62)


def judged(found, before=None):
    return verdict.judged(found, before)


def states(found):
    return {cause.name: cause.state for cause in judged(found).causes}


def test_a_healthy_board_is_plausible_and_nothing_is_found():
    reported = judged(result())
    assert (reported.claim.verdict, reported.because) == ("plausible", ())
    assert reported.ok
    assert reported.doubt is None
    assert set(states(result()).values()) == {"no"}
    # 5.3 GB/s and 1.93 GB for a token.
    assert reported.share == pytest.approx(1.74 * reported.speed.bytes_per_token / 5.3e9)
    assert reported.speed.bound_source == "measured on pi4-a at 2026-11-21T10:00:00Z"
    assert reported.prefill == "within the published 2.6 to 3.6 tokens/s"


# Each planted fault with the cause that must be found, and words of it.
FAULTS = {
    "heat": (
        {"in_runs": {"held_back": ("soft temperature limit",), "hottest_c": 82.0}},
        "throttled",
        "soft temperature limit in 3 of 3 runs, 82 °C at most. Cool it",
    ),
    "weak supply": (
        {"in_runs": {"held_back": ("undervoltage", "throttled")}},
        "throttled",
        "undervoltage, throttled in 3 of 3 runs, 61 °C at most. Use the official supply",
    ),
    "one run of them": (
        {"runs": (run(0.6), run(0.6, held_back=("throttled",)), run(0.6))},
        "throttled",
        "throttled in 1 of 3 runs",
    ),
    "server in swap": (
        {"in_seen": {"server_swap_mib": 512.0}},
        "swapping",
        "512 MiB of llama-server lie in swap. Take a smaller model",
    ),
    "swapping in": (
        {"in_runs": {"swapped_mib": 300.0}},
        "swapping",
        "300 MiB came from swap in a run",
    ),
    "weights from the disk": (
        {"in_runs": {"read_mib": 55_000.0}},
        "swapping",
        "the weights came from the disk 30.0 times in a run",
    ),
    "another program": (
        {"in_runs": {"others_cores": 2.1, "busiest": {"chromium": 1.9}}},
        "other programs",
        "other programs took 2.1 of 4 cores: chromium 1.9. End them",
    ),
    "the server answers": (
        {"in_runs": {"others_cores": 3.0, "busiest": {"llama-server": 2.9}}},
        "other programs",
        "llama-server 2.9. The server was answering",
    ),
    "more threads than cores": (
        {"threads": 8},
        "threads",
        "8 threads on 4 cores. Threads that wait for a core spin: set serving.threads to 4",
    ),
    "a desktop": (
        {"in_seen": {"desktop": True}},
        "desktop",
        "a desktop runs (display-manager.service). `sudo systemctl set-default",
    ),
    "a build without dotprod": (
        {"in_release": {"soc": "cortex-a76", "processor": "cortex-a76", "lacks": ("DOTPROD",)}},
        "build",
        "is built without DOTPROD, which this processor has. `bramble engine list`",
    ),
    "a build for another processor": (
        {"in_release": {"soc": "cortex-a72", "processor": "cortex-a76"}},
        "build",
        "release aaaaaaaaaaaa is for cortex-a72, and this is cortex-a76",
    ),
    "a low clock": (
        {"in_runs": {"mhz": 600.0}, "in_seen": {"governor": "powersave"}},
        "clock",
        "600 of 1800 MHz with the governor powersave. Set power.governor",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_explains_a_figure_far_below(fault):
    changes, name, words = FAULTS[fault]
    reported = judged(result(SLOW, **changes))
    assert reported.claim.verdict == "far below"
    assert words in reported.because[0]
    assert len(reported.because) == 1
    found = [cause.name for cause in reported.causes if cause.state != "no"]
    assert found == [name]
    assert not reported.ok


def test_every_cause_has_its_fault():
    assert {name for _, name, _ in FAULTS.values()} == set(states(result()))


# What the node did not tell is unknown, and never taken for "not that".
BLIND = {
    "throttled": {"in_seen": {"held_back_since_boot": None}},
    "swapping": {"in_seen": {"server_swap_mib": None}, "in_runs": {"swapped_mib": None}},
    "other programs": {"in_runs": {"others_cores": None}},
    "desktop": {"in_seen": {"desktop": None}},
    "build": {"in_release": {"lacks": None}},
    "clock": {"in_seen": {"max_mhz": None}},
}


@pytest.mark.parametrize("name", BLIND)
def test_what_was_not_told_is_unknown(name):
    found = result(SLOW, **BLIND[name])
    assert [cause for cause, state in states(found).items() if state != "no"] == [name]
    assert states(found)[name] == "unknown"
    assert f"The node does not report: {name}." in judged(found).because[0]


def test_where_nothing_explains_it_that_is_said_with_what_was_looked_at():
    (said,) = judged(result(SLOW)).because
    assert "Nothing that it shows explains it (looked at: throttled, swapping, other" in said


def test_fewer_threads_than_cores_explain_a_low_figure_and_are_no_finding_otherwise():
    low = judged(result(SLOW, threads=1))
    assert "1 thread on 4 cores. Try serving.threads: 4." in low.because[0]
    assert states(result(threads=1))["threads"] == "maybe"


def test_what_held_it_back_before_these_runs_is_told_and_no_reason():
    reported = judged(result(in_seen={"held_back_since_boot": ("throttled",)})).causes[0]
    assert (reported.state, reported.got) == ("no", "not in these runs; since boot: throttled")


def test_a_load_of_the_weights_is_not_reading_them_again():
    weights = dimensions().geometry.weights.file_bytes / 2**20
    assert states(result(in_runs={"read_mib": weights * 1.1}))["swapping"] == "no"


# The bound


def test_a_figure_above_what_memory_gives_is_impossible():
    reported = judged(result((3.79, 3.8, 3.81)))
    assert reported.claim.verdict == "impossible"
    assert "the memory gives 5.3 at most (measured on pi4-a at" in reported.claim.sentence
    assert "One of the two measurements is wrong" in reported.claim.sentence
    assert not reported.ok


def test_a_figure_at_the_bound_itself_is_not_impossible():
    bytes_per_token = judged(result()).speed.bytes_per_token
    at = 5.3e9 / bytes_per_token
    assert judged(result((at * 0.999,) * 3)).claim.verdict != "impossible"
    assert judged(result((at * 1.03,) * 3)).claim.verdict == "impossible"


# Why a measured bandwidth is no bound, and the published one counts instead.
DOUBTS = {
    "not measured": ({"gb_s": None, "problem": "no room"}, {}, "no room"),
    "above the bus": ({"gb_s": 14.0, "cached_gb_s": 30.0}, {}, "exceed the bus (12.8)"),
    "the cores are the limit": ({"cached_gb_s": 1.6}, {}, "no faster from their caches"),
    "others computed": ({"others_cores": 1.5}, {}, "other programs took 1.5 cores then"),
    "held back": ({}, {"held_back_now": ("throttled",)}, "was held back then"),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_a_bandwidth_in_doubt_is_no_bound(case):
    memory, seen, words = DOUBTS[case]
    found = result(memory=memory, in_seen=seen)
    reported = judged(found)
    assert words in reported.doubt
    assert reported.bandwidth.bound == PUBLISHED["pi4"].bound
    assert verdict.latest_bandwidth([found], "pi4", 7800) is None
    high = judged(result((3.8,) * 3, memory=memory, in_seen=seen)).claim
    assert high.verdict == "impossible"
    assert f"not counted ({reported.doubt})" in high.sentence


def test_one_core_that_reads_as_much_as_all_is_no_doubt():
    assert judged(result(memory={"threads": 1, "cached_gb_s": 5.5})).doubt is None


def test_the_newest_bandwidth_that_is_in_no_doubt_counts_and_only_for_the_same_board():
    doubtful = result(memory={"others_cores": 2.0})
    good, older = result(memory={"gb_s": 5.1}), result(memory={"gb_s": 4.0})
    found = verdict.latest_bandwidth([doubtful, good, older], "pi4", 7800)
    assert (found.bound, found.prefill) == (5.1, PUBLISHED["pi4"].prefill)
    assert verdict.latest_bandwidth([good], "pi4", 7790).bound == 5.1
    assert verdict.latest_bandwidth([good], "pi4", 3791) is None
    assert verdict.latest_bandwidth([good], "pi5", 7800) is None


def test_an_unknown_board_is_bounded_by_what_was_measured_alone():
    other = board(kind="other")
    reported = judged(result(board=other))
    assert reported.speed.bound_gb_s == 5.3
    assert reported.speed.usual[0] < reported.speed.most
    assert judged(result(board=other, memory={"gb_s": None})).speed is None


def test_a_model_that_fits_into_the_caches_has_no_bound():
    reported = judged(result(memory={"caches_bytes": 2 << 30}))
    assert (reported.claim.verdict, reported.share) == ("unbounded", None)
    assert reported.ok


def test_a_model_that_nobody_knows_has_no_bound_and_is_no_failure():
    reported = judged(result(model=Model(name="toy", sha256="d" * 64)))
    assert (reported.claim, reported.speed, reported.ok) == (None, None, True)


@pytest.mark.parametrize(("prompt", "words"), [(1.0, "below"), (3.0, "within"), (9.0, "above")])
def test_a_prompts_speed_is_set_beside_the_published_range(prompt, words):
    found = result(in_runs={"prompt_tps": prompt})
    assert judged(found).prefill == f"{words} the published 2.6 to 3.6 tokens/s"


def test_a_benchmark_without_figures_is_not_well():
    dead = run(None, problem="llama-bench ended with SIGILL", prompt_tps=None)
    reported = judged(result(runs=(dead,), problem="llama-bench ended with SIGILL"))
    assert (reported.claim, reported.ok) == (None, False)
    assert not judged(result(problem="it was ended from outside")).ok


# Beside the last one


def board(memory_mib=7800, kind="pi4"):
    return Board(model="a board", kind=kind, memory_mib=memory_mib, cores=4)


@pytest.mark.parametrize(
    ("before", "word", "said"),
    [
        (None, "first", "no earlier result"),
        (result((1.6, 1.5, 1.71)), "faster", "faster in every run"),
        (result((1.76, 1.9, 1.8)), "slower", "slower in every run"),
        (result((1.6, 1.74, 1.9)), "same", "no difference beyond the spread"),
        (result((1.0,) * 3, threads=3), "other", "but threads changed since"),
        (result((1.0,) * 3, in_release={"release": "b" * 12}), "other", "but release changed"),
        (result(()), "other", "no figures"),
        (
            result((0.9,) * 3, in_runs={"held_back": ("throttled",)}),
            "other",
            "the board was held back in every run of 2026",
        ),
        (
            result(runs=(run(1.6), run(0.2, held_back=("throttled",)), run(1.71))),
            "faster",
            "1.05 times the answer of 2026",
        ),
        (result(model=Model(name="toy", sha256="e" * 64)), "other", "was another model's"),
        (result(board=board(7790)), "same", "no difference"),
        (result(board=board(3791)), "other", "but memory changed since"),
        (result(board=board(kind="pi5")), "other", "but board changed since"),
    ],
)
def test_the_last_result_is_compared_where_it_is_comparable(before, word, said):
    reported = judged(result(), before).comparison
    assert (reported.verdict, said in reported.sentence) == (word, True)


def test_the_ratio_is_that_of_the_medians():
    assert judged(result(), result((0.87, 0.87, 0.1))).comparison.ratio == pytest.approx(2.0)


# Beside the articles


def test_the_articles_figures_stand_beside_the_measured_one():
    said = list(verdict.beside(judged(result())))
    assert said == [
        "article A says 3.8 tokens/s (2.2 times what was measured) on a Pi 4: impossible here; "
        "of a prompt 0.9 tokens/s (0.29 times what was measured)"
    ]


def test_a_range_of_an_article_stays_one():
    model = Model(
        name="llama-3.2-3b-instruct-q4_k_m",
        sha256="d" * 64,
        dimensions=dimensions("llama-3.2-3b-q4_k_m"),
    )
    said = list(verdict.beside(judged(result((1.0,) * 3, model=model))))
    assert [words[8] for words in said] == ["A", "B", "C"]
    assert "says 2 to 3 tokens/s (2 to 3 times what was measured) on a Pi 4: impossible" in said[2]
    assert "of a prompt 4 to 6 tokens/s (1.3 to 1.9 times" in said[2]


@pytest.mark.parametrize("name", ["qwen2.5-3b-instruct-q4_0", "toy"])
def test_another_model_or_quant_has_no_row(name):
    assert articles.of(name, "pi4") == ()


def test_a_board_has_its_own_rows():
    (row,) = articles.of("Qwen2.5-3B-Instruct-Q4_K_M", "pi5")
    assert (row.article, row.generation, row.prompt) == ("A", (8.5, 8.5), (2.8, 2.8))
    assert articles.of("qwen2.5-3b-instruct-q4_k_m", "") == ()


def test_every_row_is_of_an_article_and_a_board():
    found = articles.rows()
    assert {row.article for row in found} == set("ABCDE")
    assert {row.board for row in found} == {"pi4", "pi5"}
    assert all(row.generation or row.says for row in found)


# What is kept


def test_a_result_is_read_as_it_was_kept_and_none_is_replaced(tmp_path):
    one, two = result(), result(SLOW)
    files = [keep(tmp_path, found) for found in (one, two)]
    names = [file.name for file in files]
    assert names == ["20261121T100000Z.json", "20261121T100000Z-2.json"]
    assert [read(file) for file in files] == [one, two]
    later = keep(tmp_path, result(at="2026-11-21T11:00:00Z"))
    assert [found.at for found in kept(tmp_path, "pi4-a")] == [read(later).at, two.at, one.at]
    assert next(iter(kept(tmp_path, "pi4-a"))).at == "2026-11-21T11:00:00Z"
    assert list(kept(tmp_path, "pi5-a")) == []
    assert {file.suffix for file in (tmp_path / "bench" / "pi4-a").iterdir()} == {".json"}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kind": "bramble fit"}'])
def test_a_file_that_is_no_result_is_named(tmp_path, text):
    file = keep(tmp_path, result())
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{file} is no result of a benchmark")):
        list(kept(tmp_path, "pi4-a"))


# The chart


def drawn(*results):
    text = page([("pi4-a", [judged(found) for found in results])])
    drawing = text[text.index("<svg") : text.index("</svg>") + 6]
    return text, ElementTree.fromstring(drawing)


def test_the_chart_has_a_bar_for_each_result_the_bound_and_the_articles():
    text, drawing = drawn(result(), result(SLOW, in_runs={"held_back": ("throttled",)}))
    words = [element.text for element in drawing.iter("text")]
    assert "1.74" in words
    assert "0.61 held back" in words
    assert words[words.index("article A") + 1] == "3.8"
    assert "2.8 at most" in words
    fills = [element.get("fill") for element in drawing.iter("rect")]
    assert fills == ["#2a7", "#2a7", "#c33"]
    assert "<script" not in text
    assert "http" not in text


def test_bars_are_as_long_as_their_figures():
    _, drawing = drawn(result((2.0,) * 3), result((1.0,) * 3))
    long, short = [float(bar.get("width")) for bar in drawing.iter("rect")][1:]
    assert long == pytest.approx(2 * short, rel=0.01)


def test_results_of_another_model_have_no_place_on_the_newest_ones_scale():
    toy = result((3000.0,) * 3, model=Model(name="toy", sha256="e" * 64))
    _, drawing = drawn(result(), toy, result(SLOW))
    words = [element.text for element in drawing.iter("text")]
    assert {"1.74", "0.61"} <= set(words)
    assert "3000" not in words


def test_articles_that_say_nearly_the_same_have_a_row_each():
    model = Model(name="llama-3.2-3b-instruct-q4_k_m", sha256="e" * 64, dimensions=dimensions())
    _, drawing = drawn(result(model=model))
    reported = [(element.text, element.get("y")) for element in drawing.iter("text")]
    figures = [place for place in reported if place[0] in ("4.1", "4.3", "2 to 3")]
    assert len({y for _, y in figures}) == len(figures) == 3


def test_the_words_beside_the_longest_bar_are_not_cut():
    toy = Model(name="toy", sha256="e" * 64)
    _, drawing = drawn(result((1000.0,) * 3, model=toy, in_runs={"held_back": ("throttled",)}))
    widest = 7 * len("1000 held back")
    [label] = [word for word in drawing.iter("text") if word.text == "1000 held back"]
    assert float(label.get("x")) + widest <= float(drawing.get("viewBox").split()[2])


def test_eight_results_are_enough():
    _, drawing = drawn(*[result()] * 12)
    assert [element.text for element in drawing.iter("text")].count("1.74") == 8


def test_names_from_a_node_cannot_become_markup():
    strange = result(
        board=Board(model="<b>&\"'", kind="pi4", memory_mib=1, cores=4),
        in_runs={"others_cores": 1.0, "busiest": {"<script>": 1.0}},
    )
    text, _ = drawn(strange)
    assert "<b>" not in text
    assert "<script" not in text


def test_a_result_without_figures_has_a_row_of_its_own():
    _, drawing = drawn(result(()))
    assert "no figures" in [element.text for element in drawing.iter("text")]
