"""What a race decides, a winner only beyond all doubt, and what the command makes of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bramble.bench.race import (
    ANSWER_TOKENS,
    PROMPT_TOKENS,
    Contestant,
    RaceRun,
    decide,
    entries,
    table,
)
from bramble.cli import driver, main
from bramble.llama import lock as engine_lock


def entry(variant, *answers, prompt=100.0):
    return Contestant(variant, tuple(RaceRun(prompt, answer) for answer in answers))


def test_a_turn_is_the_prompt_and_the_answer():
    assert RaceRun(PROMPT_TOKENS / 2, ANSWER_TOKENS / 3).turn_s == pytest.approx(5)


def test_a_variant_wins_when_its_slowest_turn_is_quicker_than_plains_quickest():
    found = decide([entry("plain", 10, 11, 10.5), entry("openblas", 12, 13, 11.1)])
    assert found is not None
    assert found.winner == "openblas"
    assert found.gain == pytest.approx(
        RaceRun(100, 10.5).turn_s / RaceRun(100, 12).turn_s,
    )


@pytest.mark.parametrize(
    "other",
    [
        entry("openblas", 12, 13, 10.9),  # quicker in the middle, and not beyond the spread
        entry("openblas", 11, 11, 11),  # as quick as plain at its best
        entry("openblas", 5, 5, 5),
        entry("openblas", 30, 30, 30, prompt=20),  # answers quickly, and the turn is longer
        Contestant("openblas", (RaceRun(1000, 1000),), "llama-bench ended with SIGILL"),
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
        [Contestant("plain", (), "llama-bench ended with SIGILL"), entry("rpc", 1)],
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
        Contestant("plain", (RaceRun(90.0, 9.0), RaceRun(90.0, 8.0))),
        Contestant("rpc", (), "it died"),
    )


def test_the_table_has_medians_with_their_spread_and_the_ratio_to_plain():
    rows = table(
        [entry("plain", 10, 11, 12), entry("rpc", 20, 22, 24), Contestant("x", (), "it died")]
    )
    heading, plain, rpc, dead = rows.splitlines()
    assert heading.split() == ["VARIANT", "PROMPT", "ANSWER", "TURN", "AGAINST", "PLAIN"]
    assert "11.0 (10.0-12.0) t/s" in plain
    assert "4.189 (3.947-4.480) s" in plain
    assert plain.endswith("1.00 x")
    assert "22.0 (20.0-24.0) t/s" in rpc
    assert rpc.endswith("1.53 x")
    assert dead.split(maxsplit=1) == ["x", "it died"]


# The command

SHA = "d" * 64


@pytest.fixture
def inventory(tmp_path, monkeypatch):
    """A host, with an inventory of its own."""
    model = f"{{name: toy, url: http://models.example.org/toy.gguf, sha256: {SHA}}}"
    (tmp_path / "fleet.yml").write_text(f"settings: {{model: {model}}}\nhosts: {{pi5-a: {{}}}}\n")
    (tmp_path / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raced(monkeypatch, *speeds, problem=None):
    """A run of the deploy that measured plain and openblas at these answers' speeds."""
    runs = [
        {"variant": name, "round": number, "prompt_tps": 100.0, "answer_tps": speed}
        for name, several in zip(("plain", "openblas"), speeds, strict=True)
        for number, speed in enumerate(several)
    ]
    if problem:
        runs = [{"variant": name, "round": 1, "problem": problem} for name in ("plain", "openblas")]
    event = {
        "event": "race",
        "host": "pi5-a",
        "soc": "cortex-a76",
        "model": "toy",
        "releases": {"plain": "a" * 12, "openblas": "b" * 12},
        "runs": runs,
    }
    asked = []

    def run(deploy, hosts, *options, show):
        asked.append((deploy, list(hosts), list(options)))
        return driver.Outcome(0, (event,), Path("x.jsonl"), Path("x.log"))

    monkeypatch.setattr(driver, "run", run)
    return asked


def bramble(*words):
    return CliRunner().invoke(main, ["engine", "race", *words])


def test_the_winner_is_locked_for_its_processor_and_nothing_else_is_touched(inventory, monkeypatch):
    before = engine_lock.Lock(
        commit="c" * 40, variants={"cortex-a72": engine_lock.Variant(variant="rpc")}
    )
    engine_lock.write(inventory, before)
    asked = raced(monkeypatch, (10, 11, 12), (20, 21, 22))
    done = bramble("pi5-a", "--variants", "openblas", "--rounds", "3")
    assert done.exit_code == 0, done.output
    assert asked == [
        ("race", ["pi5-a"], ["-y", "--data", "rounds=3", "--data", "variants=openblas"])
    ]
    lock = engine_lock.read(inventory)
    assert (lock.commit, lock.variants["cortex-a72"].variant) == ("c" * 40, "rpc")
    won = lock.variants["cortex-a76"]
    assert (won.variant, won.host, won.model) == ("openblas", "pi5-a", "toy")
    assert won.tokens_per_second == pytest.approx(160 / RaceRun(100, 21).turn_s, abs=0.01)
    assert "openblas wins: its slowest turn took 2.880 s, plain's quickest 3.947 s" in done.stdout


def test_plain_is_locked_where_there_is_no_clear_winner(inventory, monkeypatch):
    raced(monkeypatch, (10, 11, 12), (11, 12, 13))
    done = bramble("pi5-a")
    assert done.exit_code == 0, done.output
    assert engine_lock.read(inventory).variants["cortex-a76"].variant == "plain"


def test_a_host_that_sets_its_variant_is_told_that_it_stays(inventory, monkeypatch):
    fleet = inventory / "fleet.yml"
    fleet.write_text(fleet.read_text().replace("{}", "{engine: {variant: rpc}}"))
    raced(monkeypatch, (10, 11, 12), (20, 21, 22))
    assert "pi5-a has engine.variant rpc, so it keeps that" in bramble("pi5-a").stdout


def test_nothing_is_locked_when_plain_does_not_compute(inventory, monkeypatch):
    raced(monkeypatch, (), (), problem="llama-bench ended with SIGILL")
    done = bramble("pi5-a")
    assert done.exit_code == 1
    assert "plain does not compute there" in done.stderr
    assert not (inventory / engine_lock.FILE).exists()


def test_a_race_that_failed_is_told_with_its_reason_and_locks_nothing(inventory, monkeypatch):
    events = (
        {"event": "run", "hosts": ["pi5-a"]},
        {"event": "step", "host": "pi5-a", "problem": "nothing is decided: it was held back"},
        {"event": "end", "changed": [], "failed": ["pi5-a"], "complete": True},
    )
    left = driver.Outcome(1, events, Path("x.jsonl"), Path("x.log"))
    monkeypatch.setattr(driver, "run", lambda *words, show: left)
    done = bramble("pi5-a")
    assert done.exit_code == 1
    assert "nothing is decided: it was held back (the whole log: x.log)" in done.stderr
    assert not (inventory / engine_lock.FILE).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--variants", "openblass"), "no variant 'openblass'; did you mean 'openblas'?"),
        (("--variants", "plain"), "name a variant besides plain"),
        (("--rounds", "2"), "2 is not in the range 3<=x<=99"),
    ],
)
def test_what_cannot_be_raced_is_refused_before_any_connection(inventory, words, said):
    done = bramble("pi5-a", *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_json_has_every_run(inventory, monkeypatch):
    raced(monkeypatch, (10, 11, 12), (20, 21, 22))
    reported = json.loads(bramble("pi5-a", "--json").stdout)
    assert (reported["winner"], reported["soc"]) == ("openblas", "cortex-a76")
    assert [row["release"] for row in reported["variants"]] == ["a" * 12, "b" * 12]
    assert [run["answer_tps"] for run in reported["variants"][0]["runs"]] == [10, 11, 12]
