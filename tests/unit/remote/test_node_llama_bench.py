"""Releases take turns on the node's own model, and a run that the board held back decides nothing."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from bramble.remote import llama_bench, vitals

GOOD = """echo '[{"avg_ts": 40.5}, {"avg_ts": 9.1}]'"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Two releases whose llama-bench is a script that notes that it ran, and a cool board."""
    made = SimpleNamespace(log=tmp_path / "log", result=tmp_path / "race.json", tmp=tmp_path)
    for variant in ("plain", "rpc"):
        script(made, variant, GOOD)
    (tmp_path / "model.gguf").write_text("weights")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "vcgencmd").write_text(f'#!/bin/sh\ncat "{tmp_path}/$1"\n')
    (tools / "systemctl").write_text("#!/bin/sh\necho $PPID\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    (tmp_path / "measure_temp").write_text("temp=50.1'C\n")
    (tmp_path / "get_throttled").write_text("throttled=0x0\n")
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr(llama_bench, "WATCH_EVERY_S", 0.05)
    return made


def script(node, variant, text):
    program = node.tmp / variant / "bin" / "llama-bench"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\necho {variant} "$*" >> {node.log}\n{text}\n')
    program.chmod(0o755)


def run(node, rounds=2, variants=("plain", "rpc"), **more):
    candidates = [{"variant": name, "folder": str(node.tmp / name)} for name in variants]
    return llama_bench.main(
        {
            "id": "abc",
            "candidates": candidates,
            "model": str(node.tmp / "model.gguf"),
            "rounds": rounds,
            "prompt_tokens": 128,
            "answer_tokens": 32,
            "threads": 3,
            "ubatch_tokens": 64,
            "held_back": "end",
            "cool_s": 0.3,
            "unit": "llama-server.service",
            "result": str(node.result),
            "take_up": False,
            **more,
        }
    )


def ran(node):
    return [line.split()[0] for line in node.log.read_text().splitlines()]


def test_the_order_turns_around_in_each_round(node):
    assert run(node, rounds=3) == 0
    assert ran(node) == ["plain", "rpc", "rpc", "plain", "plain", "rpc"]


def test_a_run_is_as_the_server_computes(node):
    run(node, rounds=1)
    words = node.log.read_text().splitlines()[0].split(maxsplit=1)[1]
    assert words == f"-m {node.tmp}/model.gguf -p 128 -n 32 -t 3 -ub 64 -r 1 -o json"


def test_the_figures_are_left_with_the_temperature(node, capsys):
    node.result.write_text("of an earlier race")
    run(node, rounds=1)
    left = json.loads(node.result.read_text())
    assert (left["id"], left["whole"]) == ("abc", True)
    first = left["runs"][0]
    assert (
        first.items()
        >= {
            "variant": "plain",
            "round": 1,
            "prompt_tps": 40.5,
            "answer_tps": 9.1,
            "hottest_c": 50.1,
            "held_back": [],
        }.items()
    )
    assert (
        ":: round 1 of 1: rpc: prompt 40.5, answer 9.1 tokens/s, 50 °C\n" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kill -ILL $$", "llama-bench ended with SIGILL"),
        ("echo no such tensor >&2; exit 3", "llama-bench ended with exit code 3: no such tensor"),
        ("exit 3", "llama-bench ended with exit code 3: it said nothing"),
        ("echo hm", "llama-bench did not say how fast it was"),
        ("""echo '[{"avg_ts": 4}]'""", "llama-bench did not say how fast it was"),
        ("""echo '[{"avg_ts": 0}, {"avg_ts": 9}]'""", "llama-bench computed nothing"),
    ],
)
def test_a_release_that_does_not_compute_is_out_and_the_other_goes_on(node, text, problem):
    script(node, "rpc", text)
    assert run(node, rounds=2) == 0
    assert ran(node) == ["plain", "rpc", "plain"]
    runs = json.loads(node.result.read_text())["runs"]
    assert [entry.get("problem") for entry in runs] == [None, problem, None]


@pytest.mark.parametrize(
    ("bits", "word"), [("0x1", "undervoltage"), ("0x6", "clock capped, throttled"), ("0x8", "soft")]
)
def test_a_board_that_is_held_back_in_a_run_ends_the_race(node, capsys, bits, word):
    """It is so while the run computes, and over when the run has ended."""
    now = node.tmp / "get_throttled"
    script(
        node, "rpc", f"echo throttled={bits} > {now}; sleep 0.5; echo throttled=0x0 > {now}\n{GOOD}"
    )
    assert run(node) == 1
    said = capsys.readouterr().err
    assert f"the board was held back ({word}" in said
    assert "race again" in said
    left = json.loads(node.result.read_text())
    assert (left["whole"], [made["variant"] for made in left["runs"]]) == (False, ["plain"])


def test_what_held_it_back_before_the_race_does_not_count(node):
    (node.tmp / "get_throttled").write_text("throttled=0x50000\n")
    assert run(node) == 0


def test_what_came_and_went_between_two_looks_counts(node, capsys):
    """Undervoltage is a matter of milliseconds, and the board remembers it."""
    script(node, "rpc", f"echo throttled=0x10000 > {node.tmp}/get_throttled\n{GOOD}")
    assert run(node) == 1
    assert "the board was held back (undervoltage)" in capsys.readouterr().err


def test_a_run_that_heat_ended_is_made_again_and_counts_once(node, capsys):
    now, later = node.tmp / "get_throttled", node.tmp / "later"
    # It reports heat once, and then that it was.
    (node.tmp / "tools" / "vcgencmd").write_text(
        f'#!/bin/sh\ncat "{node.tmp}/$1"\n'
        f'[ "$1" = get_throttled ] && grep -q 80008 {now} && mv {later} {now}\nexit 0\n'
    )
    later.write_text("throttled=0x80000\n")
    hot = f"echo throttled=0x80008 > {node.tmp}/hot; mv {node.tmp}/hot {now}; sleep 1"
    script(node, "rpc", f"[ $(grep -c rpc {node.log}) = 1 ] && {{ {hot}; }}\n{GOOD}")
    assert run(node) == 0
    assert ran(node) == ["plain", "rpc", "rpc", "rpc", "plain"]
    runs = json.loads(node.result.read_text())["runs"]
    assert [(made["variant"], made["held_back"]) for made in runs] == [
        ("plain", []),
        ("rpc", []),
        ("rpc", []),
        ("plain", []),
    ]
    assert "held back by heat (soft temperature limit): this run is made again" in (
        capsys.readouterr().out
    )


def test_a_weak_supply_is_nothing_to_wait_for(node, capsys):
    (node.tmp / "get_throttled").write_text("throttled=0x50005\n")
    assert run(node) == 1
    reported = capsys.readouterr()
    assert "the supply did not hold its voltage" in reported.err
    assert "waiting for" not in reported.out
    assert ran(node) == ["plain"]


def test_a_hot_board_gets_time_to_cool_and_no_more(node, capsys):
    (node.tmp / "measure_temp").write_text("temp=70.0'C\n")
    assert run(node, rounds=1) == 0
    assert "70 °C: waiting for 65 °C" in capsys.readouterr().out


def test_a_node_that_tells_neither_races_all_the_same(node, monkeypatch):
    (node.tmp / "tools" / "vcgencmd").unlink()
    monkeypatch.setattr(vitals, "ZONE", str(node.tmp / "none"))
    monkeypatch.setattr(vitals, "FILE", str(node.tmp / "none"))
    assert run(node, rounds=1) == 0
    assert json.loads(node.result.read_text())["runs"][0]["hottest_c"] is None


def test_the_kernel_tells_where_vcgencmd_does_not(node, monkeypatch):
    (node.tmp / "tools" / "vcgencmd").unlink()
    for name, text in (("zone", "61500\n"), ("bits", "4\n")):
        (node.tmp / name).write_text(text)
    monkeypatch.setattr(vitals, "ZONE", str(node.tmp / "zone"))
    monkeypatch.setattr(vitals, "FILE", str(node.tmp / "bit*"))
    assert (vitals.temperature(), vitals.held_back()) == (61.5, ["throttled"])


def test_a_run_that_does_not_end_is_ended(node, monkeypatch, capsys):
    monkeypatch.setattr(llama_bench, "RUN_TIMEOUT_S", 0.2)
    script(node, "plain", "exec sleep 60")
    assert run(node) == 1
    assert "did not end within 0.2 s" in capsys.readouterr().err


def test_it_refuses_without_the_model_or_a_release(node, capsys):
    (node.tmp / "rpc" / "bin" / "llama-bench").unlink()
    assert run(node) == 1
    assert f"{node.tmp}/rpc has no llama-bench" in capsys.readouterr().err
    (node.tmp / "model.gguf").unlink()
    assert run(node) == 1
    assert "model.gguf is not there; run `bramble up` first" in capsys.readouterr().err


def test_it_refuses_where_the_weights_do_not_fit_twice(node, capsys, monkeypatch):
    monkeypatch.setattr(llama_bench, "RESERVE_BYTES", 1 << 60)
    assert run(node) == 1
    assert "stop the server for that long" in capsys.readouterr().err
    assert not node.log.exists()


# A benchmark of the node itself: what holds it back is a finding

BITS = "echo throttled=0x4 > {now}; sleep 0.4; echo throttled=0x0 > {now}\n"


def bench(node, **more):
    code = run(node, variants=("plain",), held_back="note", **more)
    return code, json.loads(node.result.read_text())


def test_what_holds_a_benchmark_back_is_noted_and_it_goes_on(node, capsys):
    script(node, "plain", BITS.format(now=node.tmp / "get_throttled") + GOOD)
    code, left = bench(node)
    assert code == 0
    assert [made["held_back"] for made in left["runs"]] == [["throttled"], ["throttled"]]
    assert "answer 9.1 tokens/s, 50 °C, held back: throttled\n" in capsys.readouterr().out


def test_the_clock_is_the_one_in_the_middle(node, monkeypatch):
    monkeypatch.setattr(llama_bench, "CLOCK", str(node.tmp / "clock"))
    (node.tmp / "clock").write_text("1800000\n")
    change = f"sleep 0.2; echo 600000 > {node.tmp}/clock; sleep 0.6\n"
    script(node, "plain", change + GOOD)
    assert bench(node, rounds=1)[1]["runs"][0]["mhz"] == 600


def test_what_else_computes_is_named_with_its_cores(node, monkeypatch):
    monkeypatch.setattr(llama_bench, "BUSY_CORES", 0.001)  # it has few on a busy machine
    with subprocess.Popen(["python3", "-c", "while True: pass"]) as other:
        ticks = f"cut -d ' ' -f 14 /proc/{other.pid}/stat"
        waits = f"began=$({ticks}); while [ $({ticks}) -lt $((began + 30)) ]; do sleep 0.05; done"
        script(node, "plain", f"{waits}\n{GOOD}")
        try:
            seen = bench(node, rounds=1)[1]["runs"][0]
        finally:
            other.kill()
    assert seen["others_cores"] > 0.001
    # The three busiest are named; beside busier ones it is none of them.
    assert seen["busiest"].get("python3", 0) > 0.001 or len(seen["busiest"]) == 3


def test_what_a_run_has_had_from_the_disk_is_its_last_word(node, monkeypatch):
    amounts = iter([1 << 20, 5 << 20, *[7 << 20] * 100])
    real = vitals.read

    def read(path):
        return f"rchar: 1\nread_bytes: {next(amounts)}\n" if path.endswith("/io") else real(path)

    monkeypatch.setattr(vitals, "read", read)
    script(node, "plain", f"sleep 0.4\n{GOOD}")
    assert bench(node, rounds=1)[1]["runs"][0]["read_mib"] == 7
    monkeypatch.setattr(vitals, "read", lambda path: None if path.endswith("/io") else real(path))
    assert bench(node, rounds=1)[1]["runs"][0]["read_mib"] is None


def test_pages_that_were_swapped_in_and_what_others_computed_are_told_for_the_run_alone(node):
    assert bench(node, rounds=1)[1]["runs"][0]["swapped_mib"] >= 0
    before = {"at": 0, "all": 1.0, "own": 1.0, "processes": {}, "swapped_mib": 10.0}
    after = {"at": 10, "all": 31.0, "own": 11.0, "processes": {}, "swapped_mib": 74.0}
    assert llama_bench.beside(before, after) == {
        "others_cores": 2.0,
        "busiest": {},
        "swapped_mib": 64.0,
    }


def test_the_servers_swap_is_read_of_its_main_process(node, monkeypatch):
    known = {"/proc/41/status": "Name:\tllama-server\nVmSwap:\t  204800 kB\n"}
    monkeypatch.setattr(vitals, "read", known.get)
    (node.tmp / "tools" / "systemctl").write_text("#!/bin/sh\necho 41\n")
    assert llama_bench.swap_mib("llama-server.service") == 200
    (node.tmp / "tools" / "systemctl").write_text("#!/bin/sh\necho 0\n")
    assert llama_bench.swap_mib("llama-server.service") is None


def test_figures_that_nobody_fetched_are_taken_up_and_not_measured_again(node, capsys):
    assert bench(node, rounds=1, take_up=True)[0] == 0
    made = node.result.read_text()
    node.log.unlink()
    assert bench(node, rounds=1, take_up=True)[0] == 0
    assert node.result.read_text() == made
    assert not node.log.exists()
    assert "are taken up" in capsys.readouterr().out


@pytest.mark.parametrize(
    "left", ['{"id": "abc", "whole": false}', '{"id": "x", "whole": true}', "{}", "null", "cut o"]
)
def test_what_is_not_whole_or_of_other_work_is_not_taken_up(node, left):
    node.result.write_text(left)
    assert bench(node, rounds=1, take_up=True)[0] == 0
    assert ran(node) == ["plain"]


def test_runs_that_were_made_are_there_when_a_later_one_is_ended(node, monkeypatch):
    monkeypatch.setattr(llama_bench, "RUN_TIMEOUT_S", 0.2)
    script(node, "plain", f"[ -e {node.tmp}/again ] && exec sleep 60; : > {node.tmp}/again\n{GOOD}")
    code, left = bench(node)
    assert code == 1
    assert (left["whole"], [made["answer_tps"] for made in left["runs"]]) == (False, [9.1])
