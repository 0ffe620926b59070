"""Runs on several hosts: what is asked before, in which order they go, and how they end."""

import json
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from bramble.cli import driver, main, terminal
from bramble.cli.driver import Outcome
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Lock, ReleasePin, Rolling

HOSTS = ["pi-c", "pi-a", "pi-d", "pi-b"]
FLEET = """
    settings:
      model: {name: toy, url: "http://models.example.org/toy.gguf", sha256: SHA}
    hosts:
"""
BOARD = {"model": "Raspberry Pi 5 Model B Rev 1.0"}
COMMIT = "1" * 40


def step(role, name, why="x", note=None):
    return {"role": role, "step": name, "why": why, "note": note, "diffs": []}


@pytest.fixture(autouse=True)
def fleet(tmp_path, monkeypatch):
    """Four Pis; runs are answered by a double, which remembers them.

    `plans` has the steps of hosts with something to do, `fails` why hosts fail, `bad` a check's result.
    """
    folder = tmp_path / "inventory"
    folder.mkdir()
    hosts = "".join(f"  {name}: {{}}\n" for name in HOSTS)
    (folder / "fleet.yml").write_text(dedent(FLEET).replace("SHA", "d" * 64) + hosts)
    (folder / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    monkeypatch.chdir(tmp_path)
    made = SimpleNamespace(
        folder=folder, calls=[], plans={}, fails={}, bad={}, refused=(), locks=[]
    )

    def run(deploy, hosts, *options, show, variables=()):
        made.calls.append((deploy, list(hosts)))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in dict(variables).items():
                patch.setenv(name, value)
            made.locks.append(engine_lock.read(folder))
        names = list(hosts) or HOSTS
        show(names[0], "progress of a host")
        events = [{"event": "run", "hosts": names}]
        for name in names:
            events += events_of(deploy, name)
        failed = [name for name in names if name in {**made.fails, **made.bad}]
        changed = [name for name in names if name in made.plans and deploy != "plan"]
        events.append({"event": "end", "changed": changed, "failed": failed, "complete": True})
        return Outcome(1 if failed else 0, tuple(events), Path("r.jsonl"), Path("r.log"))

    def events_of(deploy, name):
        if name in made.fails:
            return [{"event": "host", "host": name, "state": "failed", "why": made.fails[name]}]
        if deploy == "plan":
            refused = ["It does not fit."] if name in made.refused else []
            steps = made.plans.get(name, [step("base", "Install packages", None)])
            found = {"host": name, "board": BOARD, "refused": refused, "warned": [], "steps": steps}
            return [{"event": "plan", **found}]
        result = {"role": "serving", "check": "health_is_ok", "status": "pass", "got": "HTTP 200"}
        result |= {"host": name, "want": "HTTP 200", "remedy": "", **made.bad.get(name, {})}
        return [{"event": "result", **result}]

    monkeypatch.setattr(driver, "run", run)
    return made


@pytest.fixture
def person(monkeypatch):
    """Both ends are a terminal's."""
    monkeypatch.setattr(terminal, "is_person", lambda: True)


def bramble(*words, **more):
    return CliRunner().invoke(main, words, **more)


WORK = [step("engine", "Install llama.cpp"), step("base", "Install packages", None)]


# --detailed-exitcode


@pytest.mark.parametrize("words", [("plan",), ("up", "--dry"), ("upgrade", "--dry")], ids=" ".join)
def test_a_detailed_exit_code_tells_nothing_changes_and_errors_apart(fleet, words):
    asked = (*words, "--detailed-exitcode")
    assert bramble(*asked).exit_code == 0
    fleet.plans["pi-a"] = WORK
    assert bramble(*words).exit_code == 0
    assert bramble(*asked).exit_code == 2
    assert bramble(*asked, "--json").exit_code == 2
    fleet.refused = ("pi-c",)
    assert bramble(*asked).exit_code == 1
    fleet.refused, fleet.fails = (), {"pi-b": "no route"}
    assert bramble(*asked).exit_code == 1


USAGE = [
    ("plan", "pi-x"),
    ("plan", "--bogus"),
    ("plan", "--group"),
    ("up", "--dry", "pi-x"),
    ("upgrade", "--dry", "--to", "abc"),
    ("up",),
    ("upgrade",),
    ("verify",),
]


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_wrong_usage_is_never_taken_for_changes(fleet, words):
    done = bramble(*words, "--detailed-exitcode")
    assert (done.exit_code, fleet.calls) == (1, [])
    assert done.stderr


def test_a_wrong_inventory_is_never_taken_for_changes(fleet):
    (fleet.folder / "fleet.yml").write_text("hosts: 5\n")
    assert bramble("upgrade", "--dry").exit_code == 2
    assert bramble("upgrade", "--dry", "--detailed-exitcode").exit_code == 1


def test_what_goes_wrong_before_a_command_is_never_taken_for_changes():
    wrong = {"BRAMBLE_SUDO_PASSWORD": "two\nlines"}
    assert bramble("plan", env=wrong).exit_code == 2
    assert bramble("plan", "--detailed-exitcode", env=wrong).exit_code == 1
    assert bramble("--bogus", "plan", "--detailed-exitcode").exit_code == 1


def test_usage_errors_of_other_commands_still_end_with_2():
    assert bramble("plan", "pi-x").exit_code == 2
    assert bramble("plan", "--bogus").exit_code == 2


# The question before


def test_on_a_terminal_up_says_how_much_it_would_do_and_asks(fleet, person):
    fleet.plans = {"pi-a": [*WORK, step("engine", "Link it"), step("serving", "Run the service")]}
    done = bramble("up", input="n\n")
    assert (done.exit_code, fleet.calls) == (1, [("plan", [])])
    assert done.stderr.splitlines()[:4] == [
        "pi-c: nothing to do",
        "pi-a: 3 steps: engine 2, serving 1",
        "pi-d: nothing to do",
        "pi-b: nothing to do",
    ]
    assert "Nothing was changed." in done.stderr
    assert bramble("up", input="y\n").exit_code == 0
    assert fleet.calls[1:] == [("plan", []), ("node", [])]


def test_the_answer_is_no_unless_it_is_yes(fleet, person):
    fleet.plans = {"pi-a": WORK}
    for answer in ("\n", ""):
        assert bramble("up", "pi-a", input=answer).exit_code == 1
    assert {deploy for deploy, _ in fleet.calls} == {"plan"}


def test_nobody_is_asked_where_nothing_would_change(fleet, person):
    assert bramble("up", "pi-a").exit_code == 0
    assert fleet.calls == [("plan", ["pi-a"]), ("node", ["pi-a"])]


@pytest.mark.parametrize("words", [("-y",), ("--yes",), ("--json",)], ids=" ".join)
def test_nobody_is_asked_where_that_is_not_wanted(fleet, person, words):
    fleet.plans = {"pi-a": WORK}
    assert bramble("up", *words).exit_code == 0
    assert fleet.calls == [("node", [])]


def test_nobody_is_asked_off_a_terminal(fleet):
    fleet.plans = {"pi-a": WORK}
    assert bramble("up").exit_code == 0
    assert fleet.calls == [("node", [])]


def test_a_host_that_would_be_refused_or_cannot_be_looked_at_is_told_before(fleet, person):
    fleet.plans, fleet.refused, fleet.fails = {"pi-a": WORK}, ("pi-c",), {"pi-b": "no route"}
    done = bramble("up", input="n\n")
    assert "pi-c: refused: It does not fit." in done.stderr
    assert "pi-b: no route" in done.stderr


def test_a_host_that_cannot_be_looked_at_is_asked_about(fleet, person):
    fleet.fails = {"pi-b": "no route"}
    assert bramble("up", input="n\n").exit_code == 1
    assert fleet.calls == [("plan", [])]


def test_a_trial_of_a_virtual_pi_asks_nobody(fleet, person, monkeypatch):
    from bramble.cli import ask, trial, virtual

    fleet.plans = {"pi-a": WORK}
    monkeypatch.setattr(trial, "HOST", "pi-a")
    started = []
    up = click.Command("up", callback=lambda names: started.append(names))
    monkeypatch.setitem(virtual.virtual.commands, "up", up)
    quiet = click.Command("ask", callback=lambda question, host: None)
    monkeypatch.setattr(ask, "ask", quiet)
    done = bramble("try")
    assert (done.exit_code, started) == (0, [("pi-a",)]), done.output
    assert fleet.calls == [("node", ["pi-a"])]


# Groups one after the other


def test_up_takes_all_at_once_unless_it_is_told_otherwise(fleet):
    bramble("up")
    assert fleet.calls == [("node", [])]


def test_up_goes_in_groups_after_a_canary(fleet):
    assert bramble("up", "--canary", "pi-d", "--serial", "2").exit_code == 0
    assert fleet.calls == [("node", ["pi-d"]), ("node", ["pi-c", "pi-a"]), ("node", ["pi-b"])]


def test_without_a_size_all_follow_the_canary_at_once(fleet):
    bramble("up", "pi-a", "pi-b", "pi-d", "--canary", "pi-b")
    assert fleet.calls == [("node", ["pi-b"]), ("node", ["pi-a", "pi-d"])]


def test_a_failure_ends_the_run_and_names_those_that_were_not_begun(fleet):
    fleet.fails = {"pi-a": "the disk is full"}
    done = bramble("up", "--serial", "2")
    assert done.exit_code == 1
    assert fleet.calls == [("node", ["pi-c", "pi-a"])]
    assert done.stdout.splitlines()[-1] == (
        "4 hosts: 1 unchanged, 1 failed (pi-a), 2 not begun (pi-d, pi-b)"
    )
    rows = json.loads(bramble("up", "--serial", "2", "--json").stdout)["hosts"]
    assert [(row["host"], row["state"]) for row in rows] == [
        ("pi-c", "unchanged"),
        ("pi-a", "failed"),
        ("pi-d", "not begun"),
        ("pi-b", "not begun"),
    ]


@pytest.mark.parametrize(("most", "groups"), [(0, 1), (1, 3), (2, 4)])
def test_a_run_goes_on_until_more_than_so_many_failed(fleet, most, groups):
    fleet.fails = {"pi-c": "x", "pi-d": "x"}
    bramble("up", "--serial", "1", "--max-fail", str(most))
    assert len(fleet.calls) == groups


def test_a_canary_that_fails_ends_the_run_whatever_else_may_fail(fleet):
    fleet.fails = {"pi-b": "x"}
    assert bramble("up", "--canary", "pi-b", "--max-fail", "3").exit_code == 1
    assert bramble("upgrade", "--canary", "pi-b", "--max-fail", "3").exit_code == 1
    assert fleet.calls == [("node", ["pi-b"]), ("upgrade", ["pi-b"])]


def test_an_upgrade_goes_on_until_more_than_so_many_failed(fleet):
    fleet.fails = {"pi-a": "x"}
    bramble("upgrade", "--serial", "1", "--max-fail", "1")
    assert [hosts for _, hosts in fleet.calls] == [["pi-c"], ["pi-a"], ["pi-d"], ["pi-b"]]


def test_a_canary_must_be_one_of_the_hosts(fleet):
    done = bramble("up", "pi-a", "--canary", "pi-b")
    assert (done.exit_code, fleet.calls) == (2, [])
    assert "the canary pi-b is not among the hosts" in done.stderr
    assert "did you mean" in bramble("up", "--canary", "pi-x").stderr


# A rollout that is only shown


def test_a_dry_upgrade_plans_by_the_lock_that_it_would_write_and_writes_none(fleet):
    pinned = ReleasePin(release="0123456789ab", build_info="b7-0c1e57098")
    before = Lock(commit="2" * 40, hosts={"pi-a": pinned})
    engine_lock.write(fleet.folder, before)
    fleet.plans["pi-a"] = [step("base", "Install packages"), *WORK]
    done = bramble("upgrade", "--dry", "--to", COMMIT, "--batch", "2", "--canary", "pi-a")
    assert done.exit_code == 0, done.output
    assert fleet.calls == [("plan", ["pi-a", "pi-c", "pi-d", "pi-b"])]
    (seen,) = fleet.locks
    assert seen.rolling == Rolling(commit=COMMIT, hosts=("pi-a", "pi-c", "pi-d", "pi-b"))
    assert (seen.commit, seen.hosts) == ("2" * 40, {})
    assert engine_lock.read(fleet.folder) == before
    assert "1 of 3: pi-a\n2 of 3: pi-c, pi-d\n3 of 3: pi-b\n" in done.stderr
    # What an upgrade leaves alone is not shown.
    assert "pi-a (Raspberry Pi 5 Model B Rev 1.0): 1 steps to do" in done.stdout
    assert "Install packages" not in done.stdout


# The end


def test_what_failed_stands_at_the_end_with_its_remedy_and_then_the_total(fleet):
    fleet.bad["pi-c"] = {"status": "fail", "got": "HTTP 503", "remedy": "Look at the journal."}
    fleet.fails["pi-a"] = "the disk is full"
    fleet.plans["pi-d"] = WORK
    done = bramble("up")
    assert done.exit_code == 1
    assert done.stdout == (
        "pi-d: changed (); 1 of 1 checks pass\n"
        "pi-b: no changes; 1 of 1 checks pass\n"
        "pi-c: failed: 1 of 1 checks\n"
        "  fail    serving.health_is_ok: HTTP 503; wanted: HTTP 200\n"
        "          to do: Look at the journal.\n"
        "pi-a: failed: the disk is full\n"
        "to do: mend what is said above, then `bramble up pi-c pi-a`\n"
        "4 hosts: 1 changed, 1 unchanged, 2 failed (pi-c, pi-a)\n"
    )


def test_a_quiet_run_prints_what_is_not_well_and_the_total(fleet):
    fleet.fails["pi-a"] = "the disk is full"
    done = bramble("up", "--quiet")
    assert done.stdout == (
        "pi-a: failed: the disk is full\n"
        "to do: mend what is said above, then `bramble up pi-a`\n"
        "4 hosts: 3 unchanged, 1 failed (pi-a)\n"
    )
    assert done.stderr == "The whole log: r.log\n"
    assert "progress of a host" in bramble("up").stderr


QUIET = [
    (("up",), "4 hosts: 4 unchanged\n"),
    (("up", "pi-a"), "1 host: 1 unchanged\n"),
    (("verify",), "4 hosts: 4 well\n"),
    (("plan",), "4 hosts: 4 as planned\n"),
    (("revert", "watchdog"), "4 hosts: 4 unchanged\n"),
    (("model", "prune", "all"), "4 hosts: 4 unchanged\n"),
    (("upgrade",), "4 hosts: 4 unchanged\n"),
]


@pytest.mark.parametrize(("words", "said"), QUIET, ids=lambda value: " ".join(value))
def test_a_quiet_command_says_one_line_where_all_is_well(words, said):
    done = bramble(*words, "-q")
    assert (done.exit_code, done.output) == (0, said)


def test_the_total_names_no_more_than_a_dozen_hosts():
    from bramble.cli.summary import tell_total

    done = CliRunner().isolation()
    with done as (out, _, _):
        tell_total({f"pi-{number}": "failed" for number in range(20)})
        said = out.getvalue().decode()
    assert said.startswith("20 hosts: 20 failed (pi-0, pi-1, ")
    assert said.endswith("pi-11, ...)\n")
