"""A role of a person's own through pyinfra: planned, brought in its turn and checked with ours."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from ssh_double import Server, write_inventory

from bramble import report
from bramble.cli import main

DEADLINE_S = 120
MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a role of its own, of one node that answers; the node is this computer."""
    place, server = tmp_path_factory.mktemp("own") / "fleet", Server("healthy")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BRAMBLE_INVENTORY", raising=False)
        assert CliRunner().invoke(main, ["init", str(place)]).exit_code == 0
        patch.chdir(place)
        assert CliRunner().invoke(main, ["role", "new", "exporter"]).exit_code == 0
    shutil.rmtree(place / "inventory")
    write_inventory(place / "inventory", [server], {"model": MODEL})
    file = place / "inventory/fleet.yml"
    fleet = yaml.safe_load(file.read_text())
    fleet["settings"]["node"] = {"roles": ["exporter", "power", "boot", "base"]}
    file.write_text(yaml.safe_dump(fleet))
    yield place
    server.close()


def run(project, deploy, *options):
    """pyinfra on the project, which changes nothing: its words and its events."""
    file = project / f"{deploy}.jsonl"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pyinfra", "inventory.py", f"deploys/{deploy}.py", *options],
        cwd=project,
        env={**os.environ, report.VARIABLE: str(file)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.stdout, [json.loads(line) for line in file.read_text().splitlines()]


def test_it_is_in_the_plan_in_its_turn(project):
    out, events = run(project, "plan", "-y")
    (plan,) = [entry for entry in events if entry["event"] == "plan"]
    roles = list(dict.fromkeys(step["role"] for step in plan["steps"]))
    assert roles == ["base", "power", "boot", "exporter"], out
    assert "exporter" in plan["packages"]
    (step,) = [step for step in plan["steps"] if step["role"] == "exporter"]
    assert step["step"] == "Run exporter"
    assert step["why"]


def test_a_deploy_brings_it_after_the_roles_before_it(project):
    out, _ = run(project, "node", "--dry")
    table = out.partition("Detected changes:")[2].partition("Check the node")[0]
    turns = re.findall(r"^ +bramble \| (\w+) +(\S+)", table, re.MULTILINE)
    assert [name for name, _ in turns] == ["base", "power", "boot", "exporter"], out
    assert dict(turns)["exporter"] == "1", out


def test_its_check_is_run_with_ours(project):
    out, events = run(project, "verify", "-y")
    found = {f"{e['role']}.{e['check']}": e["status"] for e in events if e["event"] == "result"}
    assert found["exporter.service_runs"] in ("fail", "unknown"), out
    assert "got missing: exporter" in out
    assert {name.partition(".")[0] for name in found} == {"base", "power", "boot", "exporter"}
