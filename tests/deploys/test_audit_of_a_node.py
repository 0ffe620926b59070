"""An audit through pyinfra: one connection and one command for each host, whatever the others do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import ssh_double
from ssh_double import DEADLINE_S, ROOT, Server, run, write_inventory

from bramble.audit.result import Audit

# A model that nobody knows would be asked after.
SETTINGS = {"node": {"roles": ["base", "storage", "memory", "power", "watchdog"]}}
HEALTHY, ASKS = "healthy", "wants a sudo password"
BRAMBLE = Path(sys.executable).parent / "bramble"


@pytest.fixture
def commands(monkeypatch):
    """Each command that a server was asked for, by how that is faulty."""
    asked = []
    said = ssh_double.Node.said

    def noted(node, command, stdin):
        asked.append((node.server.faulty, command))
        return said(node, command, stdin)

    monkeypatch.setattr(ssh_double.Node, "said", noted)
    return asked


@pytest.fixture
def servers():
    made = [Server(faulty) for faulty in (HEALTHY, ASKS)]
    yield made
    for server in made:
        server.close()


@pytest.fixture
def folder(servers, tmp_path):
    made = tmp_path / "inventory"
    write_inventory(made, servers, SETTINGS)
    return made


def test_a_host_is_told_from_one_connection_and_one_command(servers, folder, commands):
    done, events = run(folder, "deploys/audit.py", "--limit", HEALTHY)
    (told,) = [entry for entry in events if entry["event"] == "audit"]
    assert told["host"] == HEALTHY
    assert {"step", "check"} <= {item["kind"] for item in told["items"]}
    assert "probe did not say" not in json.dumps(told)
    assert [who for who, _ in commands] == [HEALTHY]
    assert servers[0].connections == 1
    # This computer is no node: all of it differs.
    assert (told["state"], done.returncode) == ("differs", 1)
    (end,) = [entry for entry in events if entry["event"] == "end"]
    assert (end["changed"], end["failed"]) == ([], [HEALTHY])


def test_a_host_that_cannot_be_told_is_an_error_and_keeps_the_others(folder, commands):
    done = subprocess.run(
        [str(BRAMBLE), "audit", "--json"],
        cwd=ROOT,
        env=os.environ | {"BRAMBLE_INVENTORY": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    found = {host.host: host for host in Audit.model_validate_json(done.stdout).hosts}
    assert done.returncode == 1, done.stderr
    assert found[HEALTHY].state == "differs"
    asks = found[ASKS.replace(" ", "-")]
    assert asks.state == "unknown"
    assert "sudo asks pi for a password" in asks.why
    (kept,) = (folder / "reports").glob("*-audit.json")
    assert Audit.model_validate_json(kept.read_text()).hosts == tuple(found.values())
