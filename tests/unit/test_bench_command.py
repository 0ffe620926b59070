"""`bramble bench`: what people and programs are told, what fit makes of it, and the exit codes."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from good_result import SHAPES, result

from bramble.bench.result import keep
from bramble.cli import driver, main

SHA = "d" * 64
SLOW = (0.60, 0.61, 0.62)
LATER = "2026-11-21T12:00:00Z"
RUN = driver.run


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """Two hosts, and a double of the deploy that keeps a result of each as a test says."""
    model = f"{{name: toy, url: http://models.example.org/toy.gguf, sha256: {SHA}}}"
    hosts = "{pi4-a: {}, pi4-b: {}}"
    (tmp_path / "fleet.yml").write_text(f"settings: {{model: {model}}}\nhosts: {hosts}\n")
    (tmp_path / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = SimpleNamespace(folder=tmp_path, results={}, fails={}, asked=[])

    def run(deploy, hosts, *options, show):
        made.asked.append((deploy, list(hosts), list(options)))
        events = [{"event": "run", "hosts": list(hosts)}]
        for host in hosts:
            if host in made.results:
                file = keep(tmp_path, made.results[host])
                events.append({"event": "bench", "host": host, "file": str(file)})
            if host in made.fails:
                events.append({"event": "host", "host": host, "state": "", "why": made.fails[host]})
        events.append({"event": "end", "changed": [], "failed": list(made.fails), "complete": True})
        return driver.Outcome(
            1 if made.fails else 0, tuple(events), tmp_path / "x.jsonl", Path("x.log")
        )

    monkeypatch.setattr(driver, "run", run)
    return made


def bench(*words):
    return CliRunner().invoke(main, ["bench", *map(str, words)])


def test_figures_are_told_with_bound_comparison_articles_and_where_they_are(fleet):
    keep(fleet.folder, result((1.5,) * 3))
    fleet.results["pi4-a"] = result(at=LATER)
    done = bench("pi4-a", "--rounds", 3)
    assert done.exit_code == 0, done.output
    assert fleet.asked == [("bench", ["pi4-a"], ["-y", "--data", "rounds=3"])]
    for said in (
        "pi4-a (Raspberry Pi 4 Model B Rev 1.4): qwen2.5-3b-instruct-q4_k_m, release aaaaaaaaaaaa,",
        "answer   1.74 (1.72-1.75) tokens/s, 63% of the bound (at most 2.8 with 5.3 GB/s; measured",
        "prompt   3.10 (3.10-3.10) tokens/s, within the published",
        "memory   5.30 GB/s with 2 threads\n",
        "heat     61 °C at most",
        "Plausible: 1.74 tokens/s read 3.3 GB/s",
        "1.16 times the answer of 2026-11-21T10:00:00Z: faster in every run",
        "clock    1800 MHz\n",
        "article A says 3.8 tokens/s (2.2 times what was measured) on a Pi 4: impossible here; of",
        "kept: bench/pi4-a/20261121T120000Z.json",
        "chart: x.html",
    ):
        assert said in done.stdout
    assert "<svg" in (fleet.folder / "x.html").read_text()


def test_a_figure_far_below_ends_with_1_and_its_reason_once(fleet):
    fleet.results["pi4-a"] = result(SLOW, in_seen={"desktop": True})
    done = bench("pi4-a")
    assert done.exit_code == 1
    assert done.stdout.count("a desktop runs") == 1
    assert "Far below: 0.61 tokens/s read 1.2 GB/s, and 1.3 to 2.3 tokens/s are usual.\n" in (
        done.stdout
    )
    assert "  Because: a desktop runs (display-manager.service). `sudo systemctl" in done.stdout


def test_a_good_figure_with_a_fault_is_told_of_it_and_ends_with_0(fleet):
    fleet.results["pi4-a"] = result(in_seen={"desktop": True}, threads=3)
    done = bench("pi4-a")
    assert done.exit_code == 0
    assert "Found: a desktop runs (display-manager.service). `sudo systemctl" in done.stdout
    assert "3 threads on 4 cores" not in done.stdout


def test_an_impossible_figure_ends_with_1(fleet):
    fleet.results["pi4-a"] = result((3.8,) * 3)
    done = bench("pi4-a")
    assert (done.exit_code, "Impossible: 3.8 tokens/s read 7.3 GB/s" in done.stdout) == (1, True)


def test_a_host_without_figures_is_told_with_its_reason_beside_the_others(fleet):
    fleet.results["pi4-a"] = result()
    fleet.fails["pi4-b"] = "no release of llama.cpp is current here; run `bramble up` first"
    done = bench("pi4-a", "pi4-b")
    assert done.exit_code == 1
    assert "pi4-b: no release of llama.cpp is current here" in done.stdout
    assert "Plausible" in done.stdout


def test_runs_of_a_host_that_failed_are_told_with_the_problem(fleet):
    fleet.results["pi4-a"] = result((1.74,), problem="it was ended from outside")
    fleet.fails["pi4-a"] = "it was ended from outside"
    done = bench("pi4-a")
    assert done.exit_code == 1
    assert "answer   1.74 (1.74-1.74)" in done.stdout
    assert "problem: it was ended from outside" in done.stdout


def test_a_doubtful_bandwidth_is_told_and_the_published_one_bounds(fleet):
    fleet.results["pi4-a"] = result(memory={"others_cores": 1.0})
    said = bench("pi4-a").stdout
    assert "5.30 GB/s with 2 threads, not counted: other programs took 1.0 cores then" in said
    assert "at most 2.9 with 5.56 GB/s; STREAM on a Pi 4" in said


def test_what_is_kept_is_judged_without_a_connection(fleet):
    keep(fleet.folder, result((1.5,) * 3))
    keep(fleet.folder, result((), at=LATER, problem="it was ended"))
    keep(fleet.folder, result(at="2026-11-21T13:00:00Z"))
    done = bench("pi4-a", "--kept", "--chart", "kept.html")
    assert (done.exit_code, fleet.asked) == (0, [])
    assert "1.16 times the answer of 2026-11-21T10:00:00Z: faster in every run" in done.stdout
    assert "no figures" in (fleet.folder / "kept.html").read_text()
    done = bench("pi4-b", "--kept")
    assert done.exit_code == 1
    assert done.stdout == "pi4-b: no result is stored; run `bramble bench pi4-b`\n"


def test_what_is_kept_is_judged_of_a_host_that_cannot_be_connected_to(fleet, monkeypatch):
    monkeypatch.setattr(driver, "run", RUN)
    keep(fleet.folder, result())
    (fleet.folder / "hosts").mkdir()
    (fleet.folder / "hosts" / "pi4-a.yml").write_text("ssh: {key: none}\n")
    assert "there is no file" in bench("pi4-a").stderr
    assert bench("pi4-a", "--kept").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument 'HOST...'"),
        (("pi4-c", "--kept"), "no host or group 'pi4-c'"),
        (("pi4-a", "--rounds", 0), "not in the range"),
        (("pi4-a", "--kept", "--chart", "/none/a.html"), "/none/a.html cannot be written"),
        (("pi4-a", "--chart", "/none/a.html"), "/none/a.html cannot be written"),
        (("pi4-a", "--kept", "--chart", "a" * 300), "a cannot be written: File name too long"),
    ],
)
def test_wrong_usage_ends_with_2(fleet, words, said):
    keep(fleet.folder, result())
    done = bench(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert fleet.asked == []


def test_a_damaged_result_is_named_and_ends_with_2(fleet):
    keep(fleet.folder, result()).write_text("{")
    assert bench("pi4-a").exit_code == 2
    assert fleet.asked == []
    done = bench("pi4-a", "--kept")
    assert done.exit_code == 2
    assert "is no result of a benchmark" in done.stderr
    assert "move it away" in done.stderr


def test_a_benchmark_that_is_interrupted_says_that_it_goes_on(fleet, monkeypatch):
    def interrupted(*_words, show):
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "run", interrupted)
    done = bench("pi4-a")
    assert done.exit_code == 1
    assert "What the hosts have begun continues there; the same command follows it." in done.stderr


def test_the_inventory_is_named_once(fleet, monkeypatch):
    def fail(_argv, _root, _file, log, _listen):
        log.write_text("no such thing\n")
        return 1

    monkeypatch.setattr(driver, "run", RUN)
    monkeypatch.setattr(driver, "_call", fail)
    assert bench("pi4-a").stderr.count("Inventory ") == 1
    assert bench("pi4-a", "--kept").stderr.count("Inventory ") == 1


def test_json_has_the_result_and_what_is_thought_of_it(fleet):
    fleet.results["pi4-a"] = result(SLOW, in_seen={"desktop": True})
    fleet.fails["pi4-b"] = "it could not be reached"
    done = bench("pi4-a", "pi4-b", "--json")
    assert done.exit_code == 1
    reported = json.loads(done.stdout)
    good, bad = reported["hosts"]
    assert (good["ok"], good["claim"]["verdict"]) == (False, "far below")
    assert good["answer"] == {"median": 0.61, "low": 0.6, "high": 0.62}
    assert good["result"]["seen"]["desktop"] is True
    assert "dimensions" not in good["result"]["model"]
    assert good["bound"]["gb_s"] == 5.3
    assert [cause["name"] for cause in good["causes"] if cause["state"] == "found"] == ["desktop"]
    assert (bad["why"], bad["result"], bad["claim"]) == ("it could not be reached", None, None)
    assert bad.keys() == good.keys()


# What fit makes of it


def fit_host(monkeypatch, model, *words, kind="pi4", memory_mib=7800):
    board = {"kind": kind, "memory_mib": memory_mib, "cores": 4, "repacks": False}
    plan = driver.Outcome(0, ({"event": "plan", "board": board},), Path("x.jsonl"), Path("x.log"))
    monkeypatch.setattr(driver, "run", lambda *_words, show: plan)
    done = CliRunner().invoke(main, ["fit", str(model), "--host", "pi4-a", "--json", *words])
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout)


def test_fit_bounds_a_host_by_what_was_measured_there(fleet, monkeypatch, tmp_path):
    model = SHAPES["qwen2.5-3b-q4_k_m"].write(tmp_path)
    before = fit_host(monkeypatch, model)["speed"]
    assert before["bound_gb_s"] == 5.56
    keep(fleet.folder, result(memory={"gb_s": 4.9}))
    keep(fleet.folder, result(memory={"gb_s": 3.0, "others_cores": 2.0}, at=LATER))
    after = fit_host(monkeypatch, model)["speed"]
    assert (after["bound_gb_s"], after["bound_source"]) == (
        4.9,
        "measured on pi4-a at 2026-11-21T10:00:00Z",
    )
    assert (after["usual"], after["prefill"]) == (before["usual"], before["prefill"])
    assert fit_host(monkeypatch, model, "--bandwidth", "5.0")["speed"]["bound_gb_s"] == 5.0
    assert fit_host(monkeypatch, model, memory_mib=3791)["speed"]["bound_gb_s"] == 5.56


def test_fit_names_a_damaged_result(fleet, monkeypatch, tmp_path):
    keep(fleet.folder, result()).write_text("{")
    model = SHAPES["qwen2.5-3b-q4_k_m"].write(tmp_path)
    with pytest.raises(AssertionError, match="is no result of a benchmark"):
        fit_host(monkeypatch, model)


def test_fit_calls_a_claim_impossible_by_what_was_measured_there(fleet, monkeypatch, tmp_path):
    model = SHAPES["qwen2.5-3b-q4_k_m"].write(tmp_path)
    assert fit_host(monkeypatch, model, "--claim", "2.4")["claim"]["verdict"] == "unlikely"
    keep(fleet.folder, result(memory={"gb_s": 4.2}))
    assert fit_host(monkeypatch, model, "--claim", "2.4")["claim"]["verdict"] == "impossible"
