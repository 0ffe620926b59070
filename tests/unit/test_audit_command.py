"""What `bramble audit` prints for people and programs, what it keeps, and its exit codes."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bramble import registry
from bramble.audit.result import Audit
from bramble.cli import driver, main
from bramble.pyinfra import audit as auditing
from bramble.pyinfra import run as running
from bramble.snapshot import Snapshot
from tests.unit import good_node
from tests.unit.audited import BESIDE, LOOK, audit
from tests.unit.spoiled import PLAN
from tests.unit.test_audit import changed, edited
from tests.unit.test_audit_waivers import MODEL, waiver

FLEET = {"settings": {"model": MODEL}, "hosts": {"pi5-a": {}, "pi4-b": {}}}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with two Pis, in a working directory of the test's own."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "fleet.yml").write_text(json.dumps(FLEET))
    (folder / "known_hosts").write_text("")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(folder))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def runs(monkeypatch, project):
    """What driver.run was asked for; it leaves the audits of `hosts`, and the others as `dead`."""
    made = SimpleNamespace(calls=[], hosts=[], dead={}, number=0)

    def fake(deploy, hosts, *options, show):
        made.calls.append((deploy, list(hosts), list(options)))
        made.number += 1
        names = [*(host.host for host in made.hosts), *made.dead]
        events = [{"event": "run", "hosts": names}]
        events += [{"event": "audit", **host.model_dump(mode="json")} for host in made.hosts]
        events += [
            {"event": "host", "host": name, "state": "unreachable", "why": why}
            for name, why in made.dead.items()
        ]
        events.append({"event": "end", "changed": [], "failed": [*made.dead], "complete": True})
        file = project / "inventory" / "reports" / f"{made.number}-audit.jsonl"
        return driver.Outcome(0, tuple(events), file, file.with_suffix(".log"))

    monkeypatch.setattr(driver, "run", fake)
    return made


def bramble(*words):
    return CliRunner().invoke(main, ["audit", *words])


def other(**more):
    return audit(**more).model_copy(update={"host": "pi4-b"})


def test_healthy_hosts_have_a_line_each_and_the_code_is_0(runs):
    runs.hosts = [audit(), other()]
    done = bramble()
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split(";")[0] for line in lines[:2]] == ["pi5-a: as planned", "pi4-b: as planned"]
    assert lines[2:] == ["2 hosts: 2 as planned"]
    assert runs.calls == [("audit", [], ["-y"])]


def test_what_is_wrong_comes_first_with_who_changed_it_and_what_to_do(runs):
    lines = changed((1_795_049_990, "eve : TTY=x ; USER=root ; COMMAND=/bin/nano x"))
    runs.hosts = [audit(), other(look=edited(), **lines)]
    done = bramble()
    assert done.exit_code == 2
    said = done.stdout
    assert said.index("pi4-b: differs") < said.index("pi5-a: as planned")
    assert "  fail    drift serving: " in said
    assert "          -# edited\n" in said
    assert "eve: /bin/nano x" in said
    assert "; wanted: every file and line as it was written\n" in said
    assert "to do: bramble up pi5-a does it" in said
    assert "pass    check" not in said
    assert said.endswith("2 hosts: 1 as planned, 1 differs\n")


def test_all_is_shown_on_request(runs):
    runs.hosts = [audit()]
    assert "  pass    check base.packages_are_installed: " in bramble("-v").stdout


def test_a_host_that_could_not_be_told_is_an_error(runs):
    runs.hosts, runs.dead = [audit(look=edited())], {"pi4-b": "timed out"}
    done = bramble()
    assert done.exit_code == 1
    assert "pi4-b: not told: timed out\n" in done.stdout
    assert done.stdout.endswith("2 hosts: 1 differs, 1 not told\n")


def test_what_is_waived_is_shown_with_its_owner_and_its_day(runs):
    runs.hosts = [audit(waivers=[waiver()], held=["haproxy"])]
    done = bramble()
    assert done.exit_code == 0
    assert "  waived  beside held-package haproxy: " in done.stdout
    assert "waived by Ada until 2026-11-30: until it moves" in done.stdout
    assert done.stdout.endswith("1 host: 1 as planned, 1 waived\n")


def test_json_is_by_the_published_schema(runs):
    runs.hosts, runs.dead = [audit(look=edited(), **changed())], {"pi4-b": "timed out"}
    printed = json.loads(bramble("--json").stdout)
    schema = json.loads(CliRunner().invoke(main, ["schema", "--for", "audit"]).stdout)
    kinds = schema["$defs"]
    (item, *_) = [item for item in printed["hosts"][0]["items"] if item["origins"]]
    for value, kind in (
        (printed, schema),
        (printed["hosts"][0], kinds["HostAudit"]),
        (item, kinds["Item"]),
        (item["origins"][0], kinds["Origin"]),
    ):
        assert set(value) == set(kind["properties"]) == set(kind["required"])
    assert (printed["kind"], printed["version"]) == ("bramble audit", 1)
    assert [host["state"] for host in printed["hosts"]] == ["differs", "unknown"]


def test_an_audit_is_kept_and_the_next_one_tells_what_is_new(runs):
    runs.hosts = [audit(held=["haproxy"])]
    assert bramble().exit_code == 2
    runs.hosts = [audit(held=["haproxy"], roots=["root", "toor"])]
    done = bramble("--since", "LAST")
    assert done.exit_code == 2
    assert "new: beside root-user toor" in done.stdout
    assert "haproxy" not in done.stdout
    again = bramble("--since", "LAST")
    assert (again.exit_code, "pi5-a: no change since LAST" in again.stdout) == (0, True)


def test_an_audit_by_differences_is_kept_whole(runs, project):
    runs.hosts = [audit(held=["haproxy"])]
    bramble()
    bramble("--since", "LAST")
    kept = sorted((project / "inventory" / "reports").glob("*-audit.json"))
    assert len(kept) == 2
    first, second = (Audit.model_validate_json(file.read_text()).hosts for file in kept)
    assert first == second


def test_a_file_is_a_baseline(runs, project):
    runs.hosts = [audit(held=["haproxy"])]
    (project / "baseline.json").write_text(bramble("--json").stdout)
    assert bramble("--since", "baseline.json").exit_code == 0


@pytest.mark.parametrize("since", ["LAST", "none.json"])
def test_an_earlier_audit_that_is_not_there_is_an_error_and_no_drift(runs, since):
    done = bramble("--since", since)
    assert done.exit_code == 1
    assert done.output.startswith("--since: ")
    assert runs.calls == []


def test_an_inventory_that_is_wrong_is_an_error_and_no_drift(project):
    (project / "inventory" / "fleet.yml").write_text("hosts: {pi5-a: {serving: {prot: 1}}}\n")
    assert bramble().exit_code == 1


def test_what_nodes_say_moves_no_cursor(runs):
    runs.hosts = [audit(failed=["x\x1b[2J.service"])]
    assert "\x1b[2J" not in bramble().stdout


# In a deploy


@pytest.fixture
def deploy(monkeypatch):
    """A host of a run whose look shows `seen`, and what of it was reported."""
    made = SimpleNamespace(events=[], refused=[], said=[], looks=[], seen=LOOK)
    report = SimpleNamespace(
        write=lambda kind, **event: made.events.append((kind, event)),
        write_all=lambda kind, rows: made.events.extend((kind, row) for row in rows),
    )
    node = lambda: running.PlannedNode(PLAN, made.seen, {}, settings=good_node.settings())  # noqa: E731

    def gathered(amend, more, program):
        made.looks.append((more, program))
        return node()

    monkeypatch.setattr(auditing, "gather_facts", gathered)
    monkeypatch.setattr(auditing, "this_run", lambda: SimpleNamespace(report=report))
    monkeypatch.setattr(auditing, "refuse", lambda name, problem: made.refused.append(problem.why))
    monkeypatch.setattr(auditing, "say", lambda host, text, *colour: made.said.append(text))
    monkeypatch.setattr(auditing.ctx_host, "get", lambda: SimpleNamespace(name="pi5-a"))
    return made


def with_beside(look, **changes):
    parts = {name: {"ok": part} for name, part in (BESIDE | changes).items()}
    return Snapshot(**{**vars(look), "beside": parts})


def test_a_good_host_takes_one_look_and_is_not_failed(deploy):
    deploy.seen = with_beside(LOOK)
    auditing.audit()
    assert deploy.refused == []
    ((more, program),) = deploy.looks
    assert (program, bool(more.folders)) == ("audit", True)
    ((kind, event), *results) = deploy.events
    assert (kind, event["state"]) == ("audit", "as planned")
    assert {kind for kind, _ in results} == {"result"}


def test_what_differs_fails_the_host_in_words(deploy):
    deploy.seen = with_beside(edited(), held=["haproxy"])
    auditing.audit()
    (why,) = deploy.refused
    assert "held-package haproxy: fail: haproxy is held at its version." in why
    assert "serving.files_are_as_written: fail" in why


def test_what_a_probe_alone_saw_is_unknown_beside_the_plan(deploy):
    auditing.audit()
    (why,) = deploy.refused
    assert "held-package ?: unknown: the probe did not say" in why


def test_roles_tell_what_is_beside_them(deploy):
    assert [role.name for role in registry.roles() if role.beside] == ["memory"]
