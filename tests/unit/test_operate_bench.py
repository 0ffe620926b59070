"""The benchmark of looks says what holds of what is promised, and asks every host."""

import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "bench"))
import growth
import lookers
import operate


def looks(*walls):
    return [operate.Look(wall, 1.0, 70.0) for wall in walls]


def test_a_ratio_is_of_one_round_and_the_promise_is_held_against_its_median():
    ways = {lookers.BARE: looks(1, 2, 4), lookers.OURS: looks(1.5, 3, 10)}
    ways["plain testinfra, ssh"] = looks(15, 60, 50)
    case = operate.Case(0, 20, 0.1, ways)
    assert case.ratios(lookers.OURS, lookers.BARE) == [1.5, 1.5, 2.5]
    assert list(case.verdict()) == [
        "20 nodes, +0 ms: x bare 1.50; at most 2.0: holds",
        "20 nodes, +0 ms: plain testinfra, ssh, x ours 10.0; at least 10.0: holds",
    ]
    slower = operate.Case(0, 20, 0.1, {**ways, lookers.OURS: looks(3, 6, 12)})
    assert [line.rpartition(": ")[2] for line in slower.verdict()] == ["DOES NOT HOLD"] * 2


def test_growth_is_told_for_a_host_more_and_where_it_bends():
    points = [
        growth.Point(25, 1, 1.0, 80),
        growth.Point(50, 1, 2.0, 90),
        growth.Point(100, 1, 6.0, 95),
    ]
    assert growth.slopes(points) == [(40.0, 0.4), (80.0, 0.1)]
    assert [line.rpartition(": ")[2] for line in growth.verdict(points)] == [
        "DOES NOT HOLD",
        "holds",
        "DOES NOT HOLD",
    ]


def test_a_host_that_fails_fails_the_look_at_all_of_them(tmp_path, monkeypatch):
    double = tmp_path / "ssh"
    double.write_text('#!/bin/sh\necho "$5" >>"$ASKED"\ntest "$5" != bad\n')
    double.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for names, code in ((["a", "b"], 0), (["a", "bad", "b"], 1)):
        asked = tmp_path / f"asked-{code}"
        monkeypatch.setenv("ASKED", str(asked))
        done = subprocess.run(lookers.on_each(tmp_path / "config", names, "true"), timeout=30)
        assert (done.returncode, sorted(asked.read_text().split())) == (code, sorted(names))


def test_the_checklist_is_a_script_that_a_shell_can_read():
    values = {
        "files": [{"path": "/etc/a b", "mode": "0644", "owner": "root", "group": "root"}],
        "packages": ["curl"],
        "current": "/opt/current",
        "current_target": "releases/x",
        "model_sha256": "d" * 64,
        "model_path": "/m",
        "unit": "llama-server.service",
        "bound": "127.0.0.1:8080",
        "url": "http://127.0.0.1:8080",
        "request": {"messages": [{"role": "user", "content": "What's 2+2?"}]},
        "expect": "4",
    }
    script = lookers.checklist(values).removeprefix("sudo ")
    subprocess.run(
        ["sh", "-n", "-c", script.replace("sh -c", "sh -n -c", 1)], check=True, timeout=30
    )
    assert "'/etc/a b'" in script
