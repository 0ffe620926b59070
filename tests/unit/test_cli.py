"""What the commands print for people and programs, and the exit codes that scripts stand on."""

import errno
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from bramble import project
from bramble.cli import ask, driver, main
from bramble.cli.driver import Outcome
from bramble.models import lock as models_lock
from tests.unit.several import LARGE, LOCK

FLEET = """
    settings:
      model:
        name: toy
        url: http://models.example.org/toy.gguf
        sha256: dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
    hosts:
      pi5-a: {}
      pi4-b: {}
"""
RESULT = {
    "role": "serving",
    "check": "health_is_ok",
    "status": "pass",
    "want": "HTTP 200",
    "got": "HTTP 200",
    "remedy": "",
}


@pytest.fixture(autouse=True)
def inventory(tmp_path, monkeypatch):
    """Two Pis, in a working directory of the test's own."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "fleet.yml").write_text(dedent(FLEET))
    (folder / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    monkeypatch.chdir(tmp_path)


def bramble(*words):
    return CliRunner().invoke(main, words)


def outcome(*events, code=0):
    made = tuple({"event": event, "at": 1.0, **values} for event, values in events)
    return Outcome(code, made, Path("reports/x.jsonl"), Path("reports/x.log"))


def run(*hosts):
    return ("run", {"hosts": list(hosts)})


def end(changed=(), failed=()):
    return ("end", {"changed": list(changed), "failed": list(failed), "complete": True})


def step(host, name, **values):
    return ("step", {"host": host, "step": name, "why": "x", "state": "done", **values})


def result(host, **values):
    return ("result", {"host": host, **RESULT, **values})


@pytest.fixture
def runs(monkeypatch):
    """What driver.run was asked for; each time it leaves `runs.leaves`."""
    made = SimpleNamespace(calls=[], leaves=outcome(run(), end()))

    def fake(deploy, hosts, *options, show):
        made.calls.append((deploy, list(hosts), list(options)))
        return made.leaves

    monkeypatch.setattr(driver, "run", fake)
    return made


# What a run leaves


def test_an_outcome_names_hosts_changes_and_failures_with_their_reasons():
    left = outcome(
        run("a", "b", "c", "d", "e"),
        ("host", {"host": "a", "state": "unreachable", "why": "timed out"}),
        step("b", "Install llama.cpp", state="failed", problem="noise\nthe disk is full\n"),
        ("host", {"host": "c", "state": "connected"}),
        step("e", "Fetch the model", problem=None),
        end(changed=["b", "e"], failed=["a", "b", "d"]),
    )
    assert left.hosts == ["a", "b", "c", "d", "e"]
    assert left.failed == {"a": "timed out", "b": "the disk is full", "d": "see the log"}
    assert left.changed == {"b", "e"}
    assert [entry["step"] for entry in left.of("step")] == ["Install llama.cpp", "Fetch the model"]


def test_a_run_that_was_cut_off_has_no_failures_to_name():
    left = outcome(run("a"), step("a", "Install llama.cpp"), code=1)
    assert (left.failed, left.changed) == ({}, set())


def test_a_run_that_left_nothing_has_no_hosts():
    assert outcome(code=2).hosts == []


# up


CUT_OFF = {
    "interrupted": (outcome(run("pi5-a"), end(), code=130), "was stopped"),
    "killed": (
        outcome(run("pi5-a"), step("pi5-a", "Install"), code=-9),
        "was ended by signal 9 (SIGKILL)",
    ),
    "broken": (outcome(run("pi5-a"), code=3), "ended with exit code 3"),
}


@pytest.mark.parametrize("how", CUT_OFF)
@pytest.mark.parametrize("words", [("up",), ("model", "prune", "pi5-a")], ids=" ".join)
def test_a_host_of_a_run_that_was_cut_off_is_not_called_done_and_how_it_ended_is_told(
    runs, how, words
):
    runs.leaves, ended = CUT_OFF[how]
    done = bramble(*words)
    assert done.exit_code == 1
    assert f"pi5-a: failed: the run {ended} before it finished; run it again\n" in done.output


def test_what_nodes_say_moves_no_cursor(runs):
    runs.leaves = outcome(
        run("pi5-a", "pi4-b"),
        step("pi5-a", "Fetch", state="failed", problem="500 \x1b]0;x\x07"),
        result("pi4-b", got="4 \x1b[2J"),
        end(failed=["pi5-a"]),
        code=1,
    )
    assert "pi5-a: failed: 500 ?]0;x?\n" in bramble("up").output
    assert ": 4 ?[2J\n" in bramble("verify", "-v").output


def test_up_runs_the_deploy_on_the_named_hosts(runs):
    assert bramble("up", "pi5-a").exit_code == 0
    assert bramble("up", "--diff").exit_code == 0
    assert runs.calls == [("node", ["pi5-a"], ["-y"]), ("node", [], ["-y", "--diff"])]


def test_up_as_json_has_one_object_for_each_host(runs):
    runs.leaves = outcome(
        run("pi5-a", "pi4-b"),
        step("pi5-a", "Install packages"),
        step("pi5-a", "Fetch the model"),
        result("pi5-a"),
        result("pi5-a", status="warn"),
        ("host", {"host": "pi4-b", "state": "unreachable", "why": "no route"}),
        end(changed=["pi5-a"], failed=["pi4-b"]),
        code=1,
    )
    done = bramble("up", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "hosts": [
            {
                "host": "pi5-a",
                "state": "changed",
                "why": "",
                "steps": ["Install packages", "Fetch the model"],
                "checks_passed": 1,
                "checks_skipped": 0,
                "checks": 2,
            },
            {
                "host": "pi4-b",
                "state": "failed",
                "why": "no route",
                "steps": [],
                "checks_passed": 0,
                "checks_skipped": 0,
                "checks": 0,
            },
        ]
    }


def test_up_says_a_line_for_each_host_and_where_the_log_is(runs):
    runs.leaves = outcome(
        run("pi5-a", "pi4-b"), result("pi5-a"), step("pi4-b", "Run the service"), end(["pi4-b"])
    )
    done = bramble("up")
    assert done.exit_code == 0
    assert done.stdout == (
        "pi5-a: no changes; 1 of 1 checks pass\n"
        "pi4-b: changed (Run the service); 0 of 0 checks pass\n"
        "2 hosts: 1 unchanged, 1 changed\n"
    )
    runs.leaves = outcome(run("pi5-a"), result("pi5-a"), result("pi5-a", status="skip"), end())
    assert bramble("up").stdout == "pi5-a: no changes; 1 of 2 checks pass, 1 skipped\n"
    runs.leaves = outcome(run("pi5-a"), end(failed=["pi5-a"]), code=1)
    done = bramble("up")
    assert done.exit_code == 1
    assert done.stdout == (
        "pi5-a: failed: see the log\nto do: mend what is said above, then `bramble up pi5-a`\n"
    )
    assert "reports/x.log" in done.stderr


def test_up_that_was_cut_off_is_a_failure(runs):
    runs.leaves = outcome(run("pi5-a"), code=1)
    assert bramble("up", "--json").exit_code == 1


def test_up_that_is_interrupted_says_that_work_goes_on(monkeypatch):
    def stop(*words, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "run", stop)
    done = bramble("up")
    assert done.exit_code == 1
    assert "continues there" in done.stderr


# revert


def test_revert_runs_its_deploy_with_the_role_on_the_named_hosts(runs):
    runs.leaves = outcome(
        run("pi5-a", "pi4-b"), step("pi5-a", "Remove the drop-in"), end(changed=["pi5-a"])
    )
    done = bramble("revert", "watchdog", "pi5-a")
    assert done.exit_code == 0
    assert runs.calls == [("revert", ["pi5-a"], ["-y", "--data", "role=watchdog"])]
    assert done.stdout == (
        "pi5-a: reverted (Remove the drop-in)\npi4-b: nothing to revert\n"
        "2 hosts: 1 changed, 1 unchanged\n"
    )


def test_revert_says_which_roles_go_first(runs):
    assert "serving depends on engine" in bramble("revert", "engine").stderr


def test_revert_of_a_role_that_there_is_not_ends_with_code_2(runs):
    done = bramble("revert", "watchdgo")
    assert (done.exit_code, runs.calls) == (2, [])
    assert "no role 'watchdgo'; did you mean 'watchdog'?" in done.stderr


def test_revert_that_failed_says_why_and_ends_with_code_1(runs):
    runs.leaves = outcome(
        run("pi5-a"),
        step("pi5-a", "Remove the drop-in", state="failed", problem="it is a folder"),
        end(failed=["pi5-a"]),
        code=1,
    )
    done = bramble("revert", "watchdog", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "hosts": [
            {
                "host": "pi5-a",
                "state": "failed",
                "why": "it is a folder",
                "steps": ["Remove the drop-in"],
            }
        ]
    }


# plan

PLAN = {
    "host": "pi5-a",
    "board": {"model": "Raspberry Pi 5 Model B Rev 1.0", "kind": "pi5"},
    "refused": [],
    "warned": ["serving.ctx_tokens: more than it was trained for"],
    "packages": ["curl"],
    "files": [],
    "steps": [
        {"role": "base", "step": "Install packages", "why": "curl", "note": None, "diffs": []},
        {
            "role": "serving",
            "step": "Write",
            "why": "/etc/x",
            "note": None,
            "diffs": ["+++ /etc/x\n+one\n"],
        },
        {"role": "serving", "step": "Run the service", "why": None, "note": None, "diffs": []},
        {"role": "storage", "step": "Install log2ram", "why": None, "note": "no card", "diffs": []},
    ],
}


def test_a_plan_as_json_has_the_events_values_without_its_frame(runs):
    runs.leaves = outcome(run("pi5-a"), ("plan", PLAN), end())
    done = bramble("plan", "pi5-a", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"plans": [PLAN]}
    assert runs.calls == [("plan", ["pi5-a"], ["-y"])]


def test_a_plan_shows_the_steps_to_do_with_their_differences(runs):
    runs.leaves = outcome(run("pi5-a"), ("plan", PLAN), end())
    assert bramble("plan", "pi5-a").stdout == (
        "pi5-a (Raspberry Pi 5 Model B Rev 1.0): 2 steps to do\n"
        "  warning: serving.ctx_tokens: more than it was trained for\n"
        "  base: Install packages: curl\n"
        "  serving: Write: /etc/x\n"
        "+++ /etc/x\n+one\n"
        "  storage: Install log2ram: left out: no card\n"
    )


def test_a_plan_that_a_deploy_would_refuse_says_so_and_ends_with_1(runs):
    runs.leaves = outcome(run("pi5-a"), ("plan", {**PLAN, "refused": ["It does not fit."]}), end())
    done = bramble("plan", "pi5-a")
    assert done.exit_code == 1
    assert "  refused, none of them would be done: It does not fit.\n" in done.stdout
    assert bramble("up", "--dry").exit_code == 1
    assert bramble("plan", "pi5-a", "--json").exit_code == 1


def test_a_dry_up_plans_and_changes_nothing(runs):
    runs.leaves = outcome(run("pi5-a"), ("plan", PLAN), end())
    done = bramble("up", "--dry")
    assert done.exit_code == 0
    assert runs.calls == [("plan", [], ["-y"])]
    assert "2 steps to do" in done.stdout
    assert "+++" not in done.stdout
    assert "+++ /etc/x" in bramble("up", "--dry", "--diff").stdout


def test_a_plan_that_could_not_be_made_is_a_failure(runs):
    runs.leaves = outcome(
        run("pi5-a"),
        ("host", {"host": "pi5-a", "state": "refused", "why": "32-bit"}),
        end(failed=["pi5-a"]),
        code=1,
    )
    done = bramble("plan", "pi5-a")
    assert (done.exit_code, done.stderr) == (1, "pi5-a: 32-bit\n")
    as_json = bramble("plan", "pi5-a", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, {"plans": []})
    assert "pi5-a: 32-bit" in as_json.stderr


def test_prune_runs_its_deploy_and_needs_a_host(runs):
    runs.leaves = outcome(
        run("pi5-a", "pi4-b"), step("pi5-a", "Remove old models"), end(changed=["pi5-a"])
    )
    done = bramble("model", "prune", "pi5-a", "pi4-b")
    assert runs.calls == [("prune", ["pi5-a", "pi4-b"], ["-y"])]
    assert done.stdout == (
        "pi5-a: pruned (Remove old models)\npi4-b: nothing to remove\n"
        "2 hosts: 1 changed, 1 unchanged\n"
    )
    assert bramble("model", "prune").exit_code == 2


def on_host(state=None, sha256="d" * 64):
    """What a host reported its one model."""
    row = {"path": "/m/toy.gguf", "size_bytes": 10**9, "what": "the planned model"}
    damaged = None if state is None or state.startswith("unknown") else state != "whole"
    rows = [{**row, "sha256": sha256, "removable": False, "state": state, "damaged": damaged}]
    reported = {"host": "pi5-a", "folder": "/m", "free_bytes": 2 * 10**9, "models": rows}
    return ("models", reported)


def test_the_models_of_a_host_are_listed_with_what_they_are_to_it(runs):
    runs.leaves = outcome(run("pi5-a"), on_host(), end())
    done = bramble("model", "list", "pi5-a")
    assert runs.calls == [("models", ["pi5-a"], ["-y"])]
    assert done.exit_code == 0
    assert done.stdout == (
        "pi5-a: 2.00 GB free\n  /m/toy.gguf  1.00 GB, sha256 dddddddddddd, the planned model\n"
    )


def test_a_host_without_models_says_so(runs):
    reported = {"host": "pi5-a", "folder": "/m", "free_bytes": 2 * 10**9, "models": []}
    runs.leaves = outcome(run("pi5-a"), ("models", reported), end())
    assert bramble("model", "list", "pi5-a").stdout == (
        "pi5-a: 2.00 GB free\n  no models; `bramble up pi5-a` fetches the planned one\n"
    )


@pytest.mark.parametrize(
    ("state", "code"), [("whole", 0), ("damaged: on the disk: ee", 1), ("unknown: no answer", 1)]
)
def test_verifying_models_reads_them_back_and_tells_a_damaged_one(runs, state, code):
    runs.leaves = outcome(run("pi5-a"), on_host(state), end())
    done = bramble("model", "verify", "pi5-a")
    assert runs.calls == [("models", ["pi5-a"], ["-y", "--data", "verify=yes"])]
    assert (done.exit_code, state in done.stdout) == (code, True)
    assert ("`bramble up pi5-a` fetches" in done.stdout) == state.startswith("damaged")
    assert bramble("model", "verify").exit_code == 2


def test_a_host_that_did_not_tell_its_models_fails_the_command(runs):
    runs.leaves = outcome(run("pi5-a", "pi4-b"), on_host(), end(failed=["pi4-b"]), code=1)
    done = bramble("model", "list", "pi5-a")
    assert (done.exit_code, done.stderr) == (1, "pi4-b: see the log\n")


# verify


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["pass"], 0),
        (["pass", "warn", "skip"], 0),
        (["pass", "fail"], 1),
        (["unknown", "pass"], 3),
        (["unknown", "fail"], 1),
    ],
)
def test_verify_ends_with_the_code_of_its_worst_result(runs, statuses, code):
    events = [result("pi5-a", status=status) for status in statuses]
    runs.leaves = outcome(run("pi5-a"), *events, end())
    done = bramble("verify", "--json")
    assert done.exit_code == code
    said = json.loads(done.stdout)
    assert said["results"] == [{"host": "pi5-a", **RESULT, "status": each} for each in statuses]
    assert (said["kind"], said["version"]) == ("bramble results", 1)
    assert bramble("verify").exit_code == code


def test_verify_gives_an_unreachable_host_a_failed_result_that_says_why(runs):
    runs.leaves = outcome(
        run("pi5-a", "pi4-b"),
        result("pi5-a"),
        ("host", {"host": "pi4-b", "state": "unreachable", "why": "no route"}),
        end(failed=["pi4-b"]),
        code=1,
    )
    done = bramble("verify", "--json")
    # As the README promises of a host that could not be reached.
    assert done.exit_code == 1
    (last,) = json.loads(done.stdout)["results"][1:]
    assert last == {
        "host": "pi4-b",
        "role": "ssh",
        "check": "reachable",
        "status": "fail",
        "want": "a host that can be looked at",
        "got": "no route",
        "remedy": "The whole log: reports/x.log",
    }


def test_a_deep_verify_asks_for_big_files_to_be_read_back(runs):
    runs.leaves = outcome(run("pi5-a"), result("pi5-a"), end())
    assert bramble("verify", "--deep", "pi5-a").exit_code == 0
    assert runs.calls == [("verify", ["pi5-a"], ["-y", "--data", "deep=yes"])]


def test_verify_that_left_nothing_could_not_tell(runs):
    runs.leaves = outcome(code=1)
    done = bramble("verify", "--json")
    assert done.exit_code == 3
    (only,) = json.loads(done.stdout)["results"]
    assert (only["host"], only["status"]) == ("all", "unknown")


def test_verify_tells_people_what_was_wanted_and_what_to_do(runs):
    failing = {"status": "fail", "got": "HTTP 503", "remedy": "Look at the journal."}
    runs.leaves = outcome(run("pi5-a"), result("pi5-a", **failing), end(failed=["pi5-a"]), code=1)
    said = bramble("verify").stdout
    for part in ("pi5-a", "serving.health_is_ok", "fail", "HTTP 503", "HTTP 200", "journal"):
        assert part in said


def mixed():
    """A run over three hosts, of which the second and third have something that is not well."""
    wrong = {"got": "x", "want": "y", "remedy": "Mend it."}
    return outcome(
        run("a", "b", "c"),
        result("a"),
        result("b", check="one"),
        result("b", check="two", status="warn", **wrong),
        result("c", check="three", status="skip"),
        result("c", check="four", status="unknown", **wrong),
        result("b", check="five", status="fail", **wrong),
        end(failed=["b"]),
        code=1,
    )


def test_verify_shows_by_host_what_is_not_well_and_counts_the_rest(runs):
    runs.leaves = mixed()
    below = "          to do: Mend it.\n"
    assert bramble("verify").stdout == (
        f"b: 1 fail, 1 warn, 1 pass\n"
        f"  fail    serving.five: x; wanted: y\n{below}"
        f"  warn    serving.two: x; wanted: y\n{below}"
        f"c: 1 unknown, 1 skip\n"
        f"  unknown serving.four: x; wanted: y\n{below}"
        f"a: 1 pass\n"
        f"3 hosts: 1 well, 1 failed (b), 1 unknown (c)\n"
    )


def test_verify_shows_all_where_that_is_asked_for_what_is_not_well_first(runs):
    runs.leaves = mixed()
    shown = [line.split()[:2] for line in bramble("verify", "-v").stdout.splitlines()]
    assert [words[1] for words in shown if words[1].startswith("serving.")] == [
        f"serving.{name}:" for name in ("five", "two", "one", "four", "three", "health_is_ok")
    ]


def test_verify_keeps_to_a_narrow_terminal(runs, monkeypatch):
    monkeypatch.setattr("bramble.cli.terminal.width", lambda **_: 34)
    runs.leaves = outcome(
        run("a"), result("a", status="fail", got="a long answer of the server"), end()
    )
    lines = bramble("verify").stdout.splitlines()
    assert lines[1:3] == [
        "  fail    serving.health_is_ok: a",
        "          long answer of the",
    ]
    assert max(len(line) for line in lines if len(line.split()) > 2) <= 34


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_colours_are_left_out_where_no_color_asks_for_that(runs, variable, coloured):
    runs.leaves = outcome(run("pi5-a"), result("pi5-a"), end())
    done = CliRunner().invoke(main, ["verify", "-v"], color=True, env={"NO_COLOR": variable})
    assert ("\x1b[32m" in done.stdout) == coloured


# verify's formats and reports


FORMATS = ("text", "json", "junit", "tap", "nagios", "prometheus", "csv", "html")


@pytest.mark.parametrize("form", FORMATS)
def test_verify_prints_each_format_and_writes_the_same_into_a_file(runs, tmp_path, form):
    runs.leaves = outcome(run("pi5-a"), result("pi5-a", status="fail", got="HTTP 503"), end())
    printed = bramble("verify", "--format", form)
    done = bramble("verify", "--report", f"{form}={tmp_path / 'made'}")
    assert (printed.exit_code, done.exit_code) == (2 if form == "nagios" else 1, 1)
    assert done.stderr.endswith(f"wrote {tmp_path / 'made'}\n")
    written = (tmp_path / "made").read_bytes().decode()
    assert "health_is_ok" in written
    times = r"\d\d:\d\d(:\d\d)?|\b\d{10}(\.\d+)?"
    assert re.sub(times, "", printed.stdout_bytes.decode()) == re.sub(times, "", written)


def test_verify_writes_several_reports_and_still_tells_people(runs, tmp_path):
    runs.leaves = mixed()
    done = bramble("verify", "--report", "junit=a.xml", "--report", "html=b.html")
    assert done.exit_code == 1
    assert done.stdout.startswith("b: 1 fail, 1 warn, 1 pass\n")
    assert (tmp_path / "a.xml").read_text().startswith("<?xml")
    assert (tmp_path / "b.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(("statuses", "code"), [(["pass"], 0), (["warn"], 1), (["unknown"], 3)])
def test_nagios_has_exit_codes_of_its_own(runs, statuses, code):
    events = [result("pi5-a", status=status) for status in statuses]
    runs.leaves = outcome(run("pi5-a"), *events, end())
    assert bramble("verify", "--format", "nagios").exit_code == code


def test_nagios_is_told_that_a_wrong_inventory_is_nothing_known(inventory, tmp_path):
    done = bramble("verify", "nobody", "--format", "nagios")
    assert (done.exit_code, done.stdout.partition(":")[0]) == (3, "UNKNOWN")
    assert "no host or group 'nobody' in" in done.stderr
    assert bramble("verify", "nobody", "--format", "tap").exit_code == 2


def test_json_is_the_short_form_of_format_json_and_of_no_other(runs):
    runs.leaves = outcome(run("pi5-a"), result("pi5-a"), end())
    assert bramble("verify", "--json", "--format", "json").exit_code == 0
    refused = bramble("verify", "--json", "--format", "tap")
    assert (refused.exit_code, "--json is --format json" in refused.stderr) == (2, True)


def unwritable(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    os.mkfifo(tmp_path / "pipe")
    return {
        "junit=none/made.xml": "is no folder; make it first",
        "junit=folder": "it is a folder; name a file in it",
        "junit=link": "is a symbolic link",
        "junit=pipe": "is not a plain file",
        "junit=": "allowed: FORMAT=FILE, FORMAT one of text, json,",
        "made.xml": "allowed: FORMAT=FILE",
        "xml=made.xml": "allowed: FORMAT=FILE",
    }


def test_a_report_that_cannot_be_written_is_refused_before_any_run(runs, tmp_path):
    for words, why in unwritable(tmp_path).items():
        done = bramble("verify", "--report", words)
        assert (done.exit_code, why in " ".join(done.stderr.split())) == (2, True), done.stderr
    twice = bramble("verify", "--report", "tap=a", "--report", f"csv={tmp_path / 'a'}")
    assert (twice.exit_code, "two reports go to" in twice.stderr) == (2, True)
    assert runs.calls == []


def test_a_report_that_could_not_be_written_after_all_ends_with_2_and_keeps_the_old_one(
    runs, tmp_path, monkeypatch
):
    (tmp_path / "a.tap").write_text("before")
    runs.leaves = outcome(run("pi5-a"), result("pi5-a"), end())

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bramble.remote.atomic.os.fsync", full)
    done = bramble("verify", "--report", "tap=a.tap")
    assert (done.exit_code, done.stdout) == (2, "pi5-a: 1 pass\n")
    assert "a.tap cannot be written: No space left on device" in done.stderr
    assert (tmp_path / "a.tap").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tap", "inventory"]


def test_a_report_is_for_all_to_read_and_keeps_the_mode_that_it_has(runs, tmp_path):
    runs.leaves = outcome(run("pi5-a"), result("pi5-a"), end())
    for mode in (0o644, 0o600):
        assert bramble("verify", "--report", "prometheus=a.prom").exit_code == 0
        assert (tmp_path / "a.prom").stat().st_mode & 0o777 == mode
        (tmp_path / "a.prom").chmod(0o600)


def test_the_page_has_what_kept_reports_know(runs, inventory, tmp_path):
    runs.leaves = outcome(run("pi5-a"), result("pi5-a", status="fail"), end())
    kept = project.reports()
    kept.mkdir(parents=True)
    events = [
        {"event": "result", "at": 1_796_083_200, "host": "pi5-a", **RESULT, "status": "fail"},
        {"event": "figures", "at": 1_796_083_200, "host": "pi5-a", "temperature_c": 61.5},
    ]
    text = "".join(f"{json.dumps(event)}\n" for event in events)
    (kept / "20261201-000000-1-verify.jsonl").write_text(text)
    page = bramble("verify", "--format", "html").stdout
    assert "last 61.5 °C (2026-12-01 00:00 UTC)" in page
    assert "<td>2026-12-01 00:00 UTC or before</td>" in page


# checks


def test_checks_as_json_are_a_list_of_role_check_severity_and_what_each_proves():
    done = bramble("checks", "--json")
    rows = json.loads(done.stdout)
    assert done.exit_code == 0
    assert {frozenset(row) for row in rows} == {frozenset({"role", "check", "severity", "proves"})}
    assert {row["severity"] for row in rows} <= {"stop", "warn"}
    assert {"role": "serving", "check": "health_is_ok"}.items() <= next(
        row for row in rows if row["check"] == "health_is_ok"
    ).items()


def test_checks_are_listed_for_people():
    said = bramble("checks").stdout
    assert "serving.no_stray_configuration (warn)\n    No file of llama.cpp's own" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "serving.helth_is_ok",
            "no check 'serving.helth_is_ok'; did you mean 'serving.health_is_ok'?",
        ),
        ("health_is_ok", "no role or check 'health_is_ok'; did you mean 'serving.health_is_ok'?"),
        ("servng", "no role or check 'servng'; did you mean 'serving'?"),
    ],
)
def test_checks_of_a_name_that_there_is_not_end_with_the_one_that_was_meant(name, said):
    done = bramble("checks", name)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{said}\n")


def test_checks_are_listed_by_role_and_by_name():
    of_role = json.loads(bramble("checks", "serving", "--json").stdout)
    assert {row["role"] for row in of_role} == {"serving"}
    (one,) = json.loads(bramble("checks", "serving.health_is_ok", "--json").stdout)
    assert one in of_role


# docs


def test_pages_are_listed_and_shown_by_their_name_or_its_last_part():
    listed = bramble("docs").stdout.splitlines()
    assert {"tutorial", "reference/json", "how-to/install"} <= set(listed)
    shown = [
        bramble("docs", name).stdout
        for name in ("json", "reference/json", "docs/reference/json.md")
    ]
    assert len(set(shown)) == 1
    assert "bramble verify --json" in shown[0]


def test_a_page_that_there_is_not_ends_with_the_one_that_was_meant():
    done = bramble("docs", "instal")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "no page 'instal'; did you mean 'install'? (`bramble docs` lists them)\n"


# Hosts that there are not, and an inventory that does not load


@pytest.mark.parametrize(
    "words", [("up", "pi5-b"), ("verify", "pi5-b"), ("plan", "pi5-b"), ("revert", "base", "pi5-b")]
)
def test_a_host_that_there_is_not_ends_with_code_2_and_the_one_that_was_meant(words, tmp_path):
    done = bramble(*words)
    assert done.exit_code == 2
    assert "no host or group 'pi5-b' in" in done.stderr
    assert "did you mean" in done.stderr
    assert not (tmp_path / "inventory" / "reports").exists()


def test_an_inventory_with_a_problem_ends_with_code_2_before_any_connection(tmp_path):
    (tmp_path / "inventory" / "fleet.yml").write_text("hosts: {pi5-a: {serving: {prot: 1}}}\n")
    done = bramble("up")
    assert done.exit_code == 2
    assert "prot" in done.stderr


# Running pyinfra


PYINFRA = """
import json, os, sys
with open(os.environ["BRAMBLE_REPORT"], "w") as report:
    report.write(json.dumps({"event": "run", "hosts": ["pi5-a"], "argv": sys.argv[1:]}) + "\\n")
print("--> Connecting to hosts...")
print("    [pi5-a] Connected")
print("    \\x1b[34m[pi5-a]\\x1b[0m compiling llama-server", file=sys.stderr)
print("    [pi5-a] Success")
raise SystemExit(4)
"""


@pytest.fixture
def toy_pyinfra(tmp_path, monkeypatch):
    """Something that is run as pyinfra is: it writes a report and a log."""
    package = tmp_path / "toy" / "pyinfra"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(PYINFRA)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "toy"))


def test_a_run_gives_pyinfra_the_hosts_and_reads_its_report(toy_pyinfra, tmp_path):
    shown = []
    hosts = ["pi5-a", "pi4-b"]
    left = driver.run("node", hosts, "-y", show=lambda *line: shown.append(line))
    assert left.code == 4
    (begun,) = left.of("run")
    # One option for each: pyinfra takes commas for a part of a name, and then does nothing.
    each = [word for name in hosts for word in ("--limit", name)]
    files = [str(project.SHIPPED / name) for name in ("inventory.py", "deploys/node.py")]
    assert begun["argv"] == [*files, "-y", *each]
    assert left.report.parent == tmp_path / "inventory" / "reports"
    assert "Connecting to hosts" in left.log.read_text()


def test_a_run_in_a_project_is_of_its_own_files_and_of_brambles_where_it_has_none(
    toy_pyinfra, tmp_path
):
    (tmp_path / "deploys").mkdir()
    for name in ("inventory.py", "deploys/node.py"):
        (tmp_path / name).write_text("")
    own = driver.run("node", [], "-y", show=driver.be_quiet)
    (begun,) = own.of("run")
    assert begun["argv"][:2] == [str(tmp_path / "inventory.py"), str(tmp_path / "deploys/node.py")]
    assert own.report.parent == tmp_path / "reports"
    (begun,) = driver.run("verify", [], "-y", show=driver.be_quiet).of("run")
    assert begun["argv"][1] == str(project.SHIPPED / "deploys/verify.py")


def test_a_run_shows_what_is_said_of_a_host_and_not_that_it_goes_on(toy_pyinfra):
    shown = []
    driver.run("node", [], "-y", show=lambda *line: shown.append(line))
    assert shown == [("pi5-a", "compiling llama-server")]


@pytest.mark.parametrize("words", [("up",), ("plan", "pi5-a"), ("revert", "base")], ids=" ".join)
def test_a_run_that_gets_to_no_host_is_told_with_its_last_words(toy_pyinfra, tmp_path, words):
    broken = 'print("--> Loading...")\nraise SystemExit("pyinfra error: no such private key")\n'
    (tmp_path / "toy" / "pyinfra" / "__main__.py").write_text(broken)
    done = bramble(*words)
    assert done.exit_code == 1
    assert "pyinfra error: no such private key\n" in done.stderr
    assert "the run ended with exit code 1 before it finished; run it again" in done.stderr


def test_the_first_line_of_a_run_names_the_inventory_and_its_hosts(toy_pyinfra, tmp_path):
    done = bramble("up", "pi4-b", "--json")
    assert done.stderr.splitlines()[0] == f"Inventory {tmp_path}/inventory: pi4-b (1 of 2 hosts)"
    assert json.loads(done.stdout)
    assert "Inventory" not in bramble("up", "pi4-b", "--quiet").output


@pytest.mark.parametrize("words", [("up",), ("plan", "pi5-a"), ("verify",), ("ask", "2+2?")])
def test_a_private_key_that_is_not_there_is_told_with_its_line_before_anything_runs(
    toy_pyinfra, tmp_path, words
):
    text = dedent(FLEET).replace("pi5-a: {}", "pi5-a:\n    ssh: {key: gone}")
    (tmp_path / "inventory" / "fleet.yml").write_text(text)
    done = bramble(*words)
    assert f"there is no file {tmp_path}/inventory/gone on this computer" in done.stderr
    assert (done.exit_code, done.stdout) == (1 if words[0] == "ask" else 2, "")
    if words[0] != "ask":
        assert done.stderr.startswith("inventory/fleet.yml:9: pi5-a: ssh.key: there is no file ")
    assert not (tmp_path / "inventory" / "reports").exists()
    assert words[0] == "ask" or bramble("plan", "pi4-b").exit_code != 2


@pytest.mark.parametrize("words", [("up",), ("plan", "pi5-a"), ("config", "pi5-a")], ids=" ".join)
def test_a_model_that_is_to_be_sent_and_is_not_there_is_told_with_its_line(tmp_path, words):
    text = dedent(FLEET).replace("url: http://models.example.org/toy.gguf", "path: gone.gguf")
    (tmp_path / "inventory" / "fleet.yml").write_text(text)
    done = bramble(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"inventory/fleet.yml:5: model.path: there is no file {tmp_path}/inventory/gone.gguf on this "
        "computer; write where it is, or take it out\n"
    )


def test_a_virtual_pi_that_was_never_up_lacks_no_file(tmp_path):
    """What it is given is fetched when it is started."""
    text = dedent(FLEET).replace("url: http://models.example.org/toy.gguf", "path: gone.gguf")
    text = text.replace("settings:", "settings:\n  node: {virtual: true}")
    (tmp_path / "inventory" / "fleet.yml").write_text(text)
    assert bramble("config", "pi5-a").exit_code == 0


KILLED = """
import json, os, signal
with open(os.environ["BRAMBLE_REPORT"], "w") as report:
    report.write(json.dumps({"event": "run", "at": 1.0, "hosts": ["pi5-a"]}) + "\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    "words", [("up",), ("plan", "pi5-a"), ("verify",), ("up", "--dry")], ids=" ".join
)
def test_a_pyinfra_that_was_killed_is_told_by_its_signal(toy_pyinfra, tmp_path, words):
    (tmp_path / "toy" / "pyinfra" / "__main__.py").write_text(KILLED)
    done = bramble(*words)
    assert done.exit_code == (3 if words == ("verify",) else 1)
    assert "pi5-a" in done.output
    assert "the run was ended by signal 9 (SIGKILL) before it finished" in done.output


LONG = """
import os, pathlib, signal
def stopped(number, frame):
    pathlib.Path("stopped").touch()
    os._exit(130)
signal.signal(signal.SIGINT, stopped)
signal.alarm(30)
print("    [pi5-a] compiling llama-server", flush=True)
signal.pause()
"""


def test_what_ends_the_command_alone_ends_pyinfra_too(toy_pyinfra, tmp_path):
    (tmp_path / "toy" / "pyinfra" / "__main__.py").write_text(LONG)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        driver.run("node", [], "-y", show=lambda *line: os.kill(os.getpid(), signal.SIGTERM))
    until = time.monotonic() + 20
    while not (tmp_path / "inventory" / "stopped").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert signal.getsignal(signal.SIGTERM) == before


# ask

WORDS = ["2", "+2", " is 4."]


class Stream(BaseHTTPRequestHandler):
    """Streams an answer as llama-server does."""

    events: tuple[str, ...] = ()
    status = 200
    bodies: list[dict[str, object]]
    keys: list[str | None]

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.keys.append(self.headers["Authorization"])
        self.send_response(self.status)
        self.end_headers()
        for event in self.events:
            self.wfile.write(f"{event}\n\n".encode())


def piece(**delta):
    return f"data: {json.dumps({'choices': [{'delta': delta}]})}"


@pytest.fixture
def model(monkeypatch):
    """A server on loopback in place of the node's, reached without SSH."""
    stream = type("Scripted", (Stream,), {"bodies": [], "keys": []})
    stream.events = (
        piece(role="assistant", content=None),
        *(piece(content=word) for word in WORDS),
        piece(),
        'data: {"choices": [], "usage": {}}',
        "data: [DONE]",
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), stream)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    monkeypatch.setattr("bramble.ssh.client.http_connection", lambda client, port: connection)
    monkeypatch.setattr("bramble.ssh.client.connect", lambda host, ssh: nullcontext(host))
    stream.connection, stream.port = connection, server.server_port
    yield stream
    connection.close()
    server.shutdown()
    server.server_close()


def test_an_answer_comes_word_by_word(model):
    words = ask.answer((model.connection, {}), "toy", "What is 2+2?", 9)
    assert [word for word in words if word] == WORDS
    (body,) = model.bodies
    assert body == {
        "model": "toy",
        "messages": [{"role": "user", "content": "What is 2+2?"}],
        "max_tokens": 9,
        "temperature": 0,
        "stream": True,
    }


def test_ask_prints_the_answer_of_the_first_host(model):
    done = bramble("ask", "What is 2+2?")
    assert (done.exit_code, done.stdout) == (0, "2+2 is 4.\n")


def test_ask_as_json_has_host_question_and_answer(model):
    done = bramble("ask", "What is 2+2?", "--host", "pi4-b", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "host": "pi4-b",
        "model": "toy",
        "question": "What is 2+2?",
        "answer": "2+2 is 4.",
    }


def two_models(tmp_path):
    """Have pi5-a serve a second model."""
    (tmp_path / "inventory" / "models.lock").write_text(models_lock.text(LOCK))
    also = dedent(FLEET).replace("pi5-a: {}", f"pi5-a: {{model: {{also: ['{LARGE}']}}}}")
    (tmp_path / "inventory" / "fleet.yml").write_text(also)


def test_ask_asks_the_first_of_several_models_unless_another_is_named(model, tmp_path):
    two_models(tmp_path)
    for words, name in (((), "toy"), (("--model", "demo-f16"), "demo-f16")):
        done = bramble("ask", "What is 2+2?", "--json", *words)
        assert json.loads(done.stdout)["model"] == name, done.output
        assert model.bodies[-1]["model"] == name
    done = bramble("ask", "What is 2+2?", "--model", "demo-f61")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "pi5-a has no model demo-f61; did you mean 'demo-f16'?" in done.stderr


def test_connect_names_each_model_that_a_client_may_ask_for(tmp_path):
    two_models(tmp_path)
    done = bramble("connect", "pi5-a", "--json")
    found = json.loads(done.stdout)
    assert (found["model"], found["models"]) == ("toy", ["toy", "demo-f16"])
    words = bramble("connect", "pi5-a").stdout
    assert "Model:     toy\n           also demo-f16\n" in words
    assert "also" not in bramble("connect", "pi4-b").stdout


def test_a_server_that_refuses_is_told_with_its_words(model):
    model.status, model.events = 503, ('{"error": {"message": "Loading model"}}',)
    done = bramble("ask", "What is 2+2?")
    assert done.exit_code == 1
    assert "pi5-a: no answer: HTTP 503" in done.stderr
    assert "Loading model" in done.stderr


def test_an_error_amid_an_answer_is_no_answer(model):
    error = 'data: {"error": {"code": 500, "message": "context is full"}}'
    model.events = (piece(content="2"), error)
    done = bramble("ask", "What is 2+2?")
    assert done.exit_code == 1
    assert "no answer: context is full" in done.stderr


def test_an_answer_that_breaks_off_is_no_answer(model):
    model.events = (piece(content="2"),)
    done = bramble("ask", "What is 2+2?")
    assert done.exit_code == 1
    assert "the answer ended early" in done.stderr


def test_ask_of_a_host_that_there_is_not_ends_with_code_2():
    done = bramble("ask", "What is 2+2?", "--host", "pi5-b")
    assert done.exit_code == 2
    assert "did you mean" in done.stderr


def test_ask_of_a_host_that_does_not_serve_ends_with_code_2_and_without_a_name_another_is_asked(
    model, tmp_path
):
    fleet = dedent(FLEET).replace("pi5-a: {}", "pi5-a: {node: {roles: [base]}}")
    (tmp_path / "inventory" / "fleet.yml").write_text(fleet)
    done = bramble("ask", "What is 2+2?", "--host", "pi5-a")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "pi5-a does not get the role serving; known: pi4-b\n"
    done = bramble("ask", "What is 2+2?", "--json")
    assert json.loads(done.stdout)["host"] == "pi4-b"


def test_ask_of_a_host_that_cannot_be_reached_ends_with_code_1(tmp_path):
    fleet = dedent(FLEET).replace("pi5-a: {}", "pi5-a: {ssh: {address: 127.0.0.1, port: 1}}")
    (tmp_path / "inventory" / "fleet.yml").write_text(fleet)
    done = bramble("ask", "What is 2+2?")
    assert done.exit_code == 1
    assert "pi5-a cannot be reached: nothing listens at 127.0.0.1:1: see that sshd" in done.stderr


@pytest.fixture
def exposed(model, tmp_path):
    """A host whose clients reach the server on loopback without SSH."""
    lan = f"serving: {{expose: lan, edge: {{port: {model.port}, address: 127.0.0.1}}}}"
    fleet = dedent(FLEET).replace("pi5-a: {}", f"pi5-a: {{{lan}}}")
    (tmp_path / "inventory" / "fleet.yml").write_text(fleet)
    return model


def test_ask_comes_as_a_client_does_with_the_key_of_the_environment(exposed, monkeypatch):
    monkeypatch.setenv("BRAMBLE_API_KEY", "brk_of-a-test")
    monkeypatch.setattr("bramble.ssh.client.connect", None)
    done = bramble("ask", "--direct", "What is 2+2?")
    assert (done.exit_code, done.stdout) == (0, "2+2 is 4.\n")
    assert exposed.keys == ["Bearer brk_of-a-test"]


def test_ask_without_a_key_says_how_to_get_one(exposed, monkeypatch):
    monkeypatch.delenv("BRAMBLE_API_KEY", raising=False)
    done = bramble("ask", "--direct", "What is 2+2?")
    assert (done.exit_code, exposed.bodies) == (2, [])
    assert "in $BRAMBLE_API_KEY: `bramble key create NAME` makes one" in done.stderr


def test_a_model_that_is_not_exposed_is_not_asked_directly(model, monkeypatch):
    monkeypatch.setenv("BRAMBLE_API_KEY", "brk_of-a-test")
    done = bramble("ask", "--direct", "What is 2+2?")
    assert (done.exit_code, model.bodies) == (2, [])
    assert done.stderr.endswith(
        "serving.expose is local, so SSH is the only way: leave --direct out\n"
    )


# The command itself


def test_a_command_that_is_close_to_one_is_suggested():
    done = CliRunner().invoke(main, ["verfy"])
    assert (done.exit_code, "Did you mean 'verify'?" in done.output) == (2, True), done.output


SLOW = ("pydantic", "paramiko", "pyinfra", "cryptography", "jinja2", "http.client")


def test_help_imports_nothing_slow():
    code = (
        "import sys; from click.testing import CliRunner; from bramble.cli import main;"
        "CliRunner().invoke(main, ['--help']);"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def completed(words, at):
    """What a shell is given to complete; in a Python of its own, that imports nothing slow for it."""
    code = (
        "import contextlib, sys; from bramble.cli import main\n"
        "with contextlib.suppress(SystemExit): main(prog_name='bramble')\n"
        f"print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)"
    )
    asked = {"_BRAMBLE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
    return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("bramble up pi", ["pi5-a", "pi4-b"]),
        ("bramble trust pi5", ["pi5-a"]),
        ("bramble flash-config pi4", ["pi4-b"]),
        ("bramble ask --host pi4", ["pi4-b"]),
        ("bramble fla", ["flash-config"]),
        ("bramble doctor --js", ["--json"]),
        ("bramble up x", []),
    ],
)
def test_a_shell_completes_commands_options_and_hosts_without_slow_imports(words, found):
    assert completed(words, len(words.split()) - 1) == found


def test_every_argument_that_names_hosts_is_completed():
    for _, command in leaves(main, "bramble"):
        for given in command.params:
            names_hosts = isinstance(given, click.Argument) and given.name in ("host", "hosts")
            if names_hosts or given.metavar == "HOST":
                asked = click.Context(command)
                shown = [item.value for item in given.shell_complete(asked, "pi4")]
                assert shown == ["pi4-b"], command.name


def test_an_inventory_that_cannot_be_read_completes_nothing(tmp_path):
    (tmp_path / "inventory" / "fleet.yml").write_text("hosts: [\n")
    assert completed("bramble up ", 2) == []
    (tmp_path / "inventory" / "fleet.yml").unlink()
    assert completed("bramble up ", 2) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_bramble(shell):
    done = bramble("completion", shell)
    assert done.exit_code == 0
    assert f"_BRAMBLE_COMPLETE={shell}_complete" in done.stdout


def test_bash_itself_completes_a_host_by_the_script(tmp_path):
    """The script in a real bash, which asks a `bramble` of this test's own."""
    program = tmp_path / "bramble"
    text = "from bramble.cli import main; main(prog_name='bramble')"
    program.write_text(f"#!{sys.executable}\n{text}\n")
    program.chmod(0o755)
    script = bramble("completion", "bash").stdout
    ask = (
        f"{script}\nCOMP_WORDS=(bramble up pi5); COMP_CWORD=2; _bramble_completion {program}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "pi5-a\n", done.stderr


def leaves(command, name):
    """Every command that is no group, with its whole name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command, info_name=name)
    for inner in command.list_commands(context):
        yield from leaves(command.get_command(context, inner), f"{name} {inner}")


def test_the_help_of_every_command_has_an_example_of_it():
    found = [*leaves(main, "bramble")]
    assert len(found) > 40
    for name, command in found:
        assert re.search(rf"(?m)^    (?:\w+=\S+ )?{name}\b", command.callback.__doc__), name


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help(command):
    done = bramble(command, "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage:")
