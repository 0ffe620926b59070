"""Kept reports tell what ran when, by whom and with what result; old ones go."""

import json
import os
import subprocess
import sys
import time
from textwrap import dedent

import pytest
from click.testing import CliRunner

from bramble import computer, history, report
from bramble.cli import driver, main
from bramble.report import Report

# Writes what a run of pyinfra does, with what it was told of itself.
PYINFRA = """
from pathlib import Path
from bramble import computer, report
made = report.Report(report.path())
made.write("run", hosts=["pi5-a"], who=computer.who(), command=report.command())
made.write("end", changed=[], failed=[], complete=True)
"""


@pytest.fixture(autouse=True)
def reports(tmp_path, monkeypatch):
    """The folder of reports of an inventory of two Pis; times are shown as in UTC."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "fleet.yml").write_text(
        dedent(f"""\
            settings:
              model: {{name: toy, url: http://models.example.org/toy.gguf, sha256: {"d" * 64}}}
            hosts: {{pi5-a: , pi4-b: }}
            """)
    )
    (folder / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.chdir(tmp_path)
    yield folder / "reports"
    monkeypatch.undo()
    time.tzset()


def bramble(*words, **more):
    return CliRunner().invoke(main, words, **more)


def keep(reports, name, began_s, *events, **run):
    """Keep a report of these events, of which each is five seconds after the one before."""
    reports.mkdir(exist_ok=True)
    told = {"hosts": ["pi5-a", "pi4-b"], "who": "ann@desk", "command": "bramble up", **run}
    lines = [("run", told), *events]
    text = "".join(
        json.dumps({"event": event, "at": began_s + 5 * number, **values}) + "\n"
        for number, (event, values) in enumerate(lines)
    )
    (reports / name).write_text(text)


def end(changed=(), failed=(), complete=True):
    return ("end", {"changed": list(changed), "failed": list(failed), "complete": complete})


def step(host, name, problem=None):
    return ("step", {"host": host, "step": name, "why": "x", "state": "done", "problem": problem})


@pytest.fixture
def four(reports):
    """Four runs: one without an end, a failed one, one of an earlier bramble, one that was stopped."""
    keep(reports, "20261130-080000-7-node.jsonl", 1795939200, step("pi5-a", "Install llama.cpp"))
    keep(
        reports,
        "20261130-090000-8-node.jsonl",
        1795942800,
        step("pi5-a", "Install llama.cpp"),
        ("host", {"host": "pi4-b", "state": "unreachable", "why": "no route\x1b[2J"}),
        end(changed=["pi5-a"], failed=["pi4-b"]),
        command="bramble up 'pi*'",
    )
    keep(
        reports,
        "20261130-100000-9-verify.jsonl",
        1795946400,
        end(),
        hosts=["pi5-a"],
        who=None,
        command=None,
    )
    keep(reports, "20261130-110000-10-node.jsonl", 1795950000, end(complete=False), who="bob@lap")


def test_the_history_shows_when_who_what_and_how_it_ended_the_newest_first(four):
    done = bramble("history")
    assert done.exit_code == 0
    assert [line.split(maxsplit=2) for line in done.stdout.splitlines()] == [
        ["WHEN", "TOOK", "WHO       COMMAND           RESULT"],
        ["2026-11-29", "11:00", "5 s   bob@lap   bramble up        2 unfinished (pi5-a, pi4-b)"],
        ["2026-11-29", "10:00", "5 s   unknown   verify            1 unchanged"],
        ["2026-11-29", "09:00", "15 s  ann@desk  bramble up 'pi*'  1 changed, 1 failed (pi4-b)"],
        ["2026-11-29", "08:00", "ann@desk  bramble up        2 unfinished (pi5-a, pi4-b)"],
    ]


def test_the_history_of_a_host_says_what_was_done_there_and_why_it_failed(four):
    shown = [line.rsplit("  ", 1)[-1] for line in bramble("history", "pi5-a").stdout.splitlines()]
    assert shown[1:] == [
        "unfinished",
        "unchanged",
        "changed: Install llama.cpp",
        "unfinished: after Install llama.cpp",
    ]
    lines = bramble("history", "pi4-b").stdout.splitlines()
    assert len(lines) == 4
    assert lines[2].endswith("failed: no route?[2J")


def test_the_history_is_as_long_as_it_is_asked_for(four):
    assert len(bramble("history", "-n", "2").stdout.splitlines()) == 3


def test_the_history_as_json_has_all_of_it(four):
    runs = json.loads(bramble("history", "--json").stdout)["runs"]
    assert [run["complete"] for run in runs] == [False, True, True, False]
    assert runs[3]["seconds"] is None
    assert {**runs[2], "report": ""} == {
        "began": "2026-11-29T09:00:00+0000",
        "seconds": 15.0,
        "who": "ann@desk",
        "command": "bramble up 'pi*'",
        "complete": True,
        "report": "",
        "hosts": [
            {"host": "pi5-a", "state": "changed", "steps": ["Install llama.cpp"], "why": ""},
            {"host": "pi4-b", "state": "failed", "steps": [], "why": "no route\x1b[2J"},
        ],
    }


@pytest.mark.parametrize("text", ["{\n", "[]\n", '{"event": "run"}\n', "\xff\n", "5\n"])
def test_a_report_that_cannot_be_read_is_told_and_left_out(reports, four, text):
    (reports / "20261130-120000-11-node.jsonl").write_bytes(text.encode("latin-1"))
    done = bramble("history")
    assert len(done.stdout.splitlines()) == 5
    assert "20261130-120000-11-node.jsonl cannot be read and is left out" in done.stderr


def test_without_reports_there_is_no_history(reports, four):
    assert bramble("history", "pi9").stderr == "No run with pi9 is kept.\n"
    for file in reports.iterdir():
        file.unlink()
    reports.rmdir()
    assert (bramble("history").stdout, bramble("history").exit_code) == ("", 0)


# Where they ended early


def progress(number, name, of=17, host="pi5-a"):
    return ("progress", {"host": host, "number": number, "of": of, "step": name, "percent": None})


def interrupted(reports, hosts=("pi5-a", "pi4-b")):
    return {host: entry.hosts[host].standing for host, entry in history.interrupted(reports, hosts)}


def test_an_interrupted_deploy_says_where_each_host_stood(reports):
    keep(
        reports,
        "20261130-080000-7-node.jsonl",
        1795939200,
        progress(1, "Install packages"),
        step("pi5-a", "Install packages"),
        progress(2, "Install llama.cpp"),
        progress(1, "Install packages", host="pi4-b"),
        step("pi4-b", "Install packages"),
    )
    assert interrupted(reports) == {
        "pi5-a": "in step 2 of 17 (Install llama.cpp)",
        "pi4-b": "after step 1 of 17 (Install packages)",
    }
    shown = bramble("history", "pi5-a").stdout.splitlines()[1]
    assert shown.endswith("unfinished: in step 2 of 17 (Install llama.cpp)")


def test_a_host_whose_last_deploy_came_to_its_end_was_not_interrupted(reports, four):
    assert interrupted(reports) == {"pi5-a": "", "pi4-b": ""}
    keep(reports, "20261130-120000-11-node.jsonl", 1795953600, end(), hosts=["pi5-a"])
    keep(reports, "20261130-130000-12-verify.jsonl", 1795957200, hosts=["pi5-a", "pi4-b"])
    assert interrupted(reports) == {"pi4-b": ""}
    assert interrupted(reports, ["pi5-a"]) == {}


def test_a_run_that_is_under_way_is_not_called_interrupted(reports):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid, told in ((os.getpid(), {}), (ended.pid, {"pi5-a": ""})):
        name = f"20261130-080000-{pid}-node.jsonl"
        keep(reports, name, 1795939200, hosts=["pi5-a"], who=computer.who())
        assert interrupted(reports) == told
        (reports / name).unlink()


def test_up_says_whose_run_it_continues_and_from_where(reports, toy_pyinfra):
    events = (progress(4, "Install llama.cpp"),)
    keep(reports, "20261130-080000-7-node.jsonl", 1795939200, *events, hosts=["pi5-a"])
    said = (
        "pi5-a: the last run, of ann@desk at 2026-11-29 08:00, was interrupted in step 4 of 17 "
        "(Install llama.cpp); this one continues"
    )
    assert said in bramble("up", "pi5-a").stderr
    assert said not in bramble("up", "pi5-a").stderr


# What runs say of themselves


@pytest.fixture
def toy_pyinfra(tmp_path, monkeypatch):
    package = tmp_path / "toy" / "pyinfra"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(PYINFRA)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "toy"), *sys.path]))


def test_a_run_of_a_command_is_kept_with_its_words_and_who_gave_them(toy_pyinfra):
    bramble("verify", "pi5-a", "--json")
    (run,) = json.loads(bramble("history", "--json").stdout)["runs"]
    assert run["command"] == "bramble verify pi5-a --json"
    assert run["who"] == computer.who()


def test_words_that_may_hold_a_secret_are_not_kept():
    with main.make_context("bramble", ["verify", "hf_abcdefghijklmnopqrstuvwxyz0123"]):
        assert driver.command_line() == "bramble (not shown: it may hold a secret)"


def test_a_run_of_pyinfra_alone_is_kept_with_its_deploys_and_no_other_words(toy_pyinfra, reports):
    words = ["inventory.py", "deploys/node.py", "-y", "--data", "token=sesame"]
    subprocess.run([sys.executable, "-m", "pyinfra", *words], check=True)
    (run,) = json.loads(bramble("history", "--json").stdout)["runs"]
    assert run["command"] == "pyinfra inventory.py deploys/node.py"
    assert "sesame" not in "".join(file.read_text() for file in reports.iterdir())


def test_an_account_without_a_name_is_told_by_its_number(monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(computer.getpass, "getuser", nobody)
    assert computer.who().startswith(f"{os.getuid()}@")


# How many are kept


def names(reports):
    return sorted(file.name for file in reports.iterdir())


def test_the_oldest_runs_go_with_their_logs_and_charts_and_nothing_else(reports):
    reports.mkdir()
    (reports / "bench").mkdir()
    for name in ("20260101-000000-1-node.log", "20260101-000000-1-node.jsonl", "notes.txt"):
        (reports / name).write_text("")
    (reports / "20260101-000000-1-node.html").write_text("")
    for hour in range(10, 20):
        (reports / f"20260102-{hour}0000-99.jsonl").write_text("")
    report.rotate(reports, 11)
    assert len(names(reports)) == 15
    report.rotate(reports, 10)
    assert names(reports)[:2] == ["20260102-100000-99.jsonl", "20260102-110000-99.jsonl"]
    assert names(reports)[-2:] == ["bench", "notes.txt"]
    report.rotate(reports, 0)
    assert len(names(reports)) == 12


def test_a_run_of_a_command_removes_old_reports(toy_pyinfra, reports, monkeypatch):
    reports.mkdir()
    for number in range(20):
        Report(reports / f"20260101-0000{number:02}-1-node.jsonl").write("run", hosts=[])
    bramble("verify", "pi5-a")
    assert len([name for name in names(reports) if name.endswith(".jsonl")]) == 21
    monkeypatch.setenv(report.KEEP, "10")
    bramble("verify", "pi5-a")
    kept = [name for name in names(reports) if name.endswith(".jsonl")]
    assert len(kept) == 10
    assert kept[-1].endswith("-verify.jsonl")


@pytest.mark.parametrize("said", ["9", "-1", "many", "1e3"])
def test_a_number_of_kept_reports_that_is_none_ends_the_command_before_it_begins(reports, said):
    done = bramble("verify", env={report.KEEP: said})
    assert done.exit_code == 2
    assert f"BRAMBLE_KEEP_REPORTS: found '{said}', allowed: 10 or more, or 0" in done.stderr
    assert not reports.exists()
