"""What a race decides: a winner only where every run of it was quicker than every run of plain."""

import pytest

from bramble.race import ANSWER_TOKENS, PROMPT_TOKENS, Entry, Run, decide, entries, table


def entry(variant, *answers, prompt=100.0):
    return Entry(variant, tuple(Run(prompt, answer) for answer in answers))


def test_a_turn_is_the_prompt_and_the_answer():
    assert Run(PROMPT_TOKENS / 2, ANSWER_TOKENS / 3).turn_s == pytest.approx(5)


def test_a_variant_wins_when_its_slowest_turn_is_quicker_than_plains_quickest():
    found = decide([entry("plain", 10, 11, 10.5), entry("openblas", 12, 13, 11.1)])
    assert found is not None
    assert found.winner == "openblas"
    assert found.gain == pytest.approx(
        Run(100, 10.5).turn_s / Run(100, 12).turn_s,
    )


@pytest.mark.parametrize(
    "other",
    [
        entry("openblas", 12, 13, 10.9),  # quicker in the middle, and not beyond the spread
        entry("openblas", 11, 11, 11),  # as quick as plain at its best
        entry("openblas", 5, 5, 5),
        entry("openblas", 30, 30, 30, prompt=20),  # answers quickly, and the turn is longer
        Entry("openblas", (Run(1000, 1000),), "llama-bench ended with SIGILL"),
    ],
)
def test_plain_stays_where_there_is_any_doubt(other):
    found = decide([entry("plain", 10, 11, 10.5), other])
    assert found is not None
    assert (found.winner, found.gain) == ("plain", 1.0)


def test_the_quickest_of_several_winners_is_taken():
    several = [entry("kleidiai", 30, 31, 30), entry("plain", 10, 11), entry("openblas", 20, 21)]
    found = decide(several)
    assert found is not None
    assert found.winner == "kleidiai"


@pytest.mark.parametrize(
    "several",
    [
        [entry("openblas", 20, 21), entry("rpc", 1)],
        [Entry("plain", (), "llama-bench ended with SIGILL"), entry("rpc", 1)],
    ],
)
def test_without_figures_of_plain_nothing_is_decided(several):
    assert decide(several) is None


def test_what_the_node_wrote_is_read_by_variant():
    good = {"prompt_tps": 90.0, "answer_tps": 9.0, "hottest_c": None}
    runs = [
        {"variant": "plain", "round": 1, **good},
        {"variant": "rpc", "round": 1, "problem": "it died", "hottest_c": 50.0},
        {"variant": "plain", "round": 2, **good, "answer_tps": 8.0},
    ]
    assert entries(runs) == (
        Entry("plain", (Run(90.0, 9.0), Run(90.0, 8.0))),
        Entry("rpc", (), "it died"),
    )


def test_the_table_has_medians_with_their_spread_and_the_ratio_to_plain():
    rows = table([entry("plain", 10, 11, 12), entry("rpc", 20, 22, 24), Entry("x", (), "it died")])
    heading, plain, rpc, dead = rows.splitlines()
    assert heading.split() == ["VARIANT", "PROMPT", "ANSWER", "TURN", "AGAINST", "PLAIN"]
    assert "11.0 (10.0-12.0) t/s" in plain
    assert "4.19 (3.95-4.48) s" in plain
    assert plain.endswith("1.00 x")
    assert "22.0 (20.0-24.0) t/s" in rpc
    assert rpc.endswith("1.53 x")
    assert dead.split(maxsplit=1) == ["x", "it died"]
