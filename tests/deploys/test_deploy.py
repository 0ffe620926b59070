"""The deploys through pyinfra's own command line, on hosts that cannot be reached.

What must hold whatever happens: exit code 1, and a report that names every host of the run.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import bramble
from bramble import computer, report
from bramble.cli.driver import Outcome

ROOT = Path(bramble.__file__).parents[1]
MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def deploy(tmp_path):
    """Run a deploy as a person would, on hosts of these names at closed ports of this machine."""

    def run(name: str, hosts: list[str], *options: str) -> Outcome:
        folder, file = tmp_path / "inventory", tmp_path / "report.jsonl"
        folder.mkdir()
        (folder / "known_hosts").write_text("")
        ssh = {"address": "127.0.0.1", "connect_timeout_s": 5}
        fleet = {
            "settings": {"model": MODEL, "ssh": ssh},
            "hosts": {host: {"ssh": {"port": closed_port()}} for host in hosts},
        }
        (folder / "fleet.yml").write_text(json.dumps(fleet))  # JSON is YAML too
        own = {"BRAMBLE_INVENTORY": str(folder), report.VARIABLE: str(file)}
        log = tmp_path / "log"
        with log.open("w") as text:
            done = subprocess.run(
                [sys.executable, "-m", "pyinfra", "inventory.py", f"deploys/{name}.py", *options],
                cwd=ROOT,
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=text,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return Outcome(done.returncode, tuple(report.read(file)), file, log)

    return run


@pytest.mark.parametrize(
    "name",
    [
        "node",
        "system",
        "gateway",
        "upgrade",
        "rollback",
        "revert",
        "prune",
        "restart",
        "verify",
        "plan",
        "audit",
    ],
)
def test_the_only_host_being_unreachable_is_reported(deploy, name):
    left = deploy(name, ["pi5-a"], "-y")
    assert left.code == 1, left.log.read_text()
    assert [entry["event"] for entry in left.events] == ["run", "host", "end"]
    (begun,) = left.of("run")
    assert begun["who"] == computer.who()
    assert begun["command"] == f"pyinfra inventory.py deploys/{name}.py"
    assert left.hosts == ["pi5-a"]
    (seen,) = left.of("host")
    assert (seen["host"], seen["state"]) == ("pi5-a", "unreachable")
    assert seen["why"] != "it could not be reached"
    (last,) = left.of("end")
    assert (last["changed"], last["failed"]) == ([], ["pi5-a"])


def test_every_unreachable_host_is_reported(deploy):
    left = deploy("node", ["pi5-a", "pi4-b"], "-y")
    assert left.code == 1
    assert left.hosts == ["pi5-a", "pi4-b"]
    assert {entry["host"]: entry["state"] for entry in left.of("host")} == {
        "pi5-a": "unreachable",
        "pi4-b": "unreachable",
    }
    assert left.of("end")[0]["failed"] == ["pi4-b", "pi5-a"]
    assert left.events[-1]["event"] == "end"


def test_a_host_that_the_run_was_not_for_is_not_in_its_report(deploy):
    left = deploy("node", ["pi5-a", "pi4-b"], "-y", "--limit", "pi4-b")
    assert left.code == 1
    assert left.hosts == ["pi4-b"]
    assert set(left.failed) == {"pi4-b"}


def test_an_inventory_with_a_problem_ends_with_code_2_before_anything_is_reported(tmp_path):
    folder, file = tmp_path / "inventory", tmp_path / "report.jsonl"
    folder.mkdir()
    (folder / "fleet.yml").write_text("hosts: {pi5-a: {serving: {prot: 1}}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "inventory.py", "deploys/node.py", "-y"],
        cwd=ROOT,
        env={**os.environ, "BRAMBLE_INVENTORY": str(folder), report.VARIABLE: str(file)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "prot" in done.stderr
    assert not file.exists()


def test_a_run_that_was_interrupted_does_not_end_as_one_that_is_done(tmp_path):
    (tmp_path / "known_hosts").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = {"address": "127.0.0.1", "port": silent.getsockname()[1]}
        fleet = {"settings": {"model": MODEL}, "hosts": {"pi5-a": {"ssh": address}}}
        (tmp_path / "fleet.yml").write_text(json.dumps(fleet))
        with subprocess.Popen(
            [sys.executable, "-m", "pyinfra", "inventory.py", "deploys/node.py", "-y"],
            cwd=ROOT,
            env={**os.environ, "BRAMBLE_INVENTORY": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            silent.settimeout(60)
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            said = process.stdout.read()
            connection.close()
    assert process.returncode == report.STOPPED
    assert said.endswith("continues there; the same run takes it up.\n")
