"""A rollout goes from the canary through batches, stops at a failure, and can be continued."""

import json
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bramble.cli import driver, main
from bramble.cli.driver import Outcome
from bramble.llama import lock as engine_lock
from bramble.llama.lock import Held, Lock, ReleasePin, Rolling

HOSTS = [f"pi-{letter}" for letter in "abcdef"]
FLEET = f"""
    settings:
      model:
        name: toy
        url: http://models.example.org/toy.gguf
        sha256: {"d" * 64}
    hosts:
      {{}}
"""
NEW, OTHER = "1" * 40, "2" * 40
PIN = ReleasePin(release="0123456789ab", build_info="b7-0c1e57098")
HELD = Held(name="tiny", sha256="2" * 64, instead_of="d" * 64)


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """Six Pis; deploys are asked of a double that remembers them, with the lock as it was then."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    hosts = "".join(f"\n      {name}: {{}}" for name in HOSTS)
    (folder / "fleet.yml").write_text(dedent(FLEET.replace("\n      {}", hosts)))
    (folder / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    monkeypatch.chdir(tmp_path)
    made = SimpleNamespace(
        folder=folder, calls=[], locks=[], fails={}, cut=set(), lock=None, held=None
    )

    def run(deploy, hosts, *options, show):
        made.calls.append((deploy, list(hosts), list(options)))
        made.locks.append(engine_lock.read(folder))
        return outcome(list(hosts))

    def outcome(hosts):
        bad = [name for name in hosts if name in made.fails]
        events = [{"event": "run", "hosts": hosts}]
        for name in hosts:
            if name in bad:
                events.append({"event": "host", "host": name, "why": made.fails[name], "state": ""})
                continue
            proof = "9.5 tokens/s on noon"
            reported = {"role": "serving", "check": "release_passed_the_gate", "got": proof}
            events.append({"event": "result", "host": name, **reported})
            events.append({"event": "serves", "host": name, "release": "abc"})
        if made.held:
            held = {"host": hosts[0], "release": None, "model": made.held}
            events.append({"event": "held", **held})
        if not made.cut & set(hosts):
            events.append({"event": "end", "changed": hosts, "failed": bad, "complete": True})
        code = 1 if bad or made.cut & set(hosts) else 0
        return Outcome(code, tuple(events), Path("r.jsonl"), Path("r.log"))

    monkeypatch.setattr(driver, "run", run)
    return made


def bramble(*words):
    return CliRunner().invoke(main, words)


def test_one_goes_first_and_then_several_at_once(fleet):
    done = bramble("upgrade", "--canary", "pi-c", "--batch", "2")
    assert done.exit_code == 0, done.output
    assert [hosts for _, hosts, _ in fleet.calls] == [
        ["pi-c"],
        ["pi-a", "pi-b"],
        ["pi-d", "pi-e"],
        ["pi-f"],
    ]
    assert {(deploy, *options) for deploy, _, options in fleet.calls} == {("upgrade", "-y")}
    assert "pi-a  upgraded   abc  9.5 tokens/s on noon" in done.output


def test_a_failure_stops_the_roll_and_the_table_says_what_was_not_begun(fleet):
    fleet.fails["pi-b"] = "too slow; 000 serves again"
    done = bramble("upgrade", "--batch", "2")
    assert done.exit_code == 1
    assert len(fleet.calls) == 2
    *lines, total = done.output.splitlines()
    assert total == ("6 hosts: 2 upgraded, 1 failed (pi-b), 3 not begun (pi-d, pi-e, pi-f)")
    assert lines[-1] == "pi-b  failed     too slow; 000 serves again"
    assert "pi-b  failed     too slow; 000 serves again" in lines
    assert "pi-c  upgraded   abc  9.5 tokens/s on noon" in lines
    assert [line.split()[0] for line in lines if "not begun" in line] == ["pi-d", "pi-e", "pi-f"]


def test_a_run_that_was_cut_off_is_a_failure(fleet):
    fleet.cut.add("pi-a")
    done = bramble("upgrade")
    assert done.exit_code == 1
    assert "the run ended with exit code 1 before it finished" in done.output
    assert len(fleet.calls) == 1


def test_a_commit_is_the_hosts_own_while_it_rolls_and_the_fleets_when_all_have_it(fleet):
    engine_lock.write(fleet.folder, Lock(commit=OTHER))
    assert bramble("upgrade", "--to", NEW, "--batch", "5").exit_code == 0
    assert fleet.locks == [
        Lock(commit=OTHER, rolling=Rolling(commit=NEW, hosts=("pi-a",))),
        Lock(commit=OTHER, rolling=Rolling(commit=NEW, hosts=tuple(HOSTS))),
    ]
    assert engine_lock.read(fleet.folder) == Lock(commit=NEW)


def test_a_roll_that_stopped_is_gone_on_with_by_the_next_run(fleet):
    fleet.fails["pi-b"] = "it never became healthy"
    done = bramble("upgrade", "--to", NEW, "--batch", "1")
    assert f"The rollout of {NEW} is not over" in done.output
    left = engine_lock.read(fleet.folder)
    assert left == Lock(rolling=Rolling(commit=NEW, hosts=("pi-a",)))
    assert left.commit_of("pi-b") is None
    fleet.fails.clear()
    fleet.calls.clear()
    done = bramble("upgrade", "--again", "--batch", "8")
    assert done.exit_code == 0, done.output
    assert f"continuing the rollout of {NEW}" in done.output
    assert fleet.calls[0] == ("upgrade", ["pi-a"], ["-y", "--data", "again=yes"])
    assert engine_lock.read(fleet.folder) == Lock(commit=NEW)


def test_some_hosts_alone_leave_the_roll_open_for_the_others(fleet):
    done = bramble("upgrade", "pi-a", "pi-b", "--to", NEW, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["rolling"] == NEW
    assert engine_lock.read(fleet.folder).rolling.hosts == ("pi-a", "pi-b")


def test_another_commit_begins_another_roll(fleet):
    engine_lock.write(fleet.folder, Lock(rolling=Rolling(commit=OTHER, hosts=("pi-a",))))
    bramble("upgrade", "pi-b", "--to", NEW)
    assert engine_lock.read(fleet.folder).rolling == Rolling(commit=NEW, hosts=("pi-b",))


def test_pins_of_upgraded_hosts_are_dropped_and_those_of_failed_and_other_hosts_stay(fleet):
    fleet.fails["pi-b"] = "no"
    pins = dict.fromkeys(("pi-a", "pi-b", "pi-f"), PIN)
    engine_lock.write(fleet.folder, Lock(hosts=pins, models={"pi-a": HELD}))
    bramble("upgrade", "pi-a", "pi-b")
    left = engine_lock.read(fleet.folder)
    assert set(fleet.locks[1].hosts) == {"pi-f"}
    assert set(left.hosts) == {"pi-b", "pi-f"}
    # Another release makes no model better.
    assert left.models == {"pi-a": HELD}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "main"], "allowed: the 40 hexadecimal digits of a commit"),
        (["pi-z"], "pi-z"),
        (["pi-a", "--canary", "pi-b"], "the canary pi-b is not among the hosts"),
        (["--batch", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(fleet, words, said):
    done = bramble("upgrade", *words)
    assert done.exit_code == 2
    assert said in done.output
    assert fleet.calls == []
    assert not (fleet.folder / engine_lock.FILE).exists()


def test_a_commit_for_a_host_that_builds_from_an_archive_is_refused(fleet):
    (fleet.folder / "hosts").mkdir()
    (fleet.folder / "src.tar").touch()
    archive = f"{{path: src.tar, sha256: '{'a' * 64}'}}"
    (fleet.folder / "hosts" / "pi-b.yml").write_text(
        f"engine: {{source: {{archive: {archive}}}}}\n"
    )
    done = bramble("upgrade", "--to", NEW)
    assert done.exit_code == 2
    assert "pi-b builds from engine.source.archive" in done.output


def test_a_host_that_does_not_serve_is_left_out_and_refused_by_name(fleet):
    (fleet.folder / "hosts").mkdir()
    (fleet.folder / "hosts" / "pi-b.yml").write_text("node: {roles: [base]}\n")
    assert "pi-b" not in bramble("upgrade").output
    refused = bramble("upgrade", "pi-b")
    assert (refused.exit_code, fleet.calls[-1][1]) == (2, ["pi-c", "pi-d", "pi-e", "pi-f"])


def test_rollback_is_told_with_its_release(fleet):
    done = bramble("rollback", "pi-a")
    assert (done.exit_code, done.stdout) == (0, "pi-a: rolled back: abc\n")
    assert fleet.calls == [("rollback", ["pi-a"], ["-y"])]
    fleet.fails["pi-a"] = "there is nothing to go back to"
    done = bramble("rollback", "pi-a", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["why"] == "there is nothing to go back to"


def test_a_rollback_of_the_model_is_told_with_its_name(fleet):
    fleet.held = "tiny"
    done = bramble("model", "rollback", "pi-a")
    assert (done.exit_code, done.stdout) == (0, "pi-a: rolled back: tiny\n")
    assert fleet.calls == [("model_rollback", ["pi-a"], ["-y"])]
    fleet.fails["pi-a"] = "there is nothing to go back to"
    done = bramble("model", "rollback", "pi-a", "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["why"], said["model"]) == ("there is nothing to go back to", "")
