"""A gateway is planned by one connection, to its own host: the others are in the inventory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ssh_double import DEADLINE_S, ROOT, Server, write_inventory

from bramble.access import keys
from tests.unit import gateways

BRAMBLE = Path(sys.executable).parent / "bramble"
NAME = "healthy"
SECRET = gateways.KEY
RUN = "Run the gateway"


@pytest.fixture
def folder(tmp_path):
    """An inventory of a gateway that answers, and of two nodes that do not."""
    server = Server(NAME)
    made = tmp_path / "inventory"
    write_inventory(made, [server], {})
    fleet = yaml.safe_load((made / "fleet.yml").read_text())
    fleet["hosts"][NAME] |= {
        "node": {"roles": ["base", "gateway", "firewall"]},
        "gateway": {"secrets": {"node_key": {"environment": "GATEWAY_KEY"}}},
    }
    fleet["hosts"] |= gateways.nodes()
    (made / "fleet.yml").write_text(yaml.safe_dump(fleet))
    keys.write(made, gateways.CLIENTS)
    yield made
    server.close()


def planned(folder, **given):
    """What `bramble plan --json` says of the gateway, and its words."""
    environment = {name: word for name, word in os.environ.items() if name != "GATEWAY_KEY"}
    done = subprocess.run(
        [str(BRAMBLE), "plan", NAME, "--json"],
        cwd=ROOT,
        env=environment | {"BRAMBLE_INVENTORY": str(folder)} | given,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    return done, json.loads(done.stdout)


def test_a_gateway_is_planned_by_what_the_inventory_has_of_hosts_that_are_away(folder):
    done, found = planned(folder, GATEWAY_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    said = json.dumps(found)
    assert "server pi5-a 192.168.1.41:8081 maxconn 1" in said
    assert "server pi5-b 192.168.1.42:8081 maxconn 1" in said
    assert RUN in said
    assert "/etc/bramble/gateway/nodes.map" in said


def test_a_run_without_the_key_says_so_and_refuses_a_gateway_that_has_none(folder):
    _, found = planned(folder)
    assert "the variable GATEWAY_KEY is not set or empty" in json.dumps(found)


def test_a_node_that_lets_nobody_in_is_told_before_any_connection(folder):
    fleet = yaml.safe_load((folder / "fleet.yml").read_text())
    fleet["hosts"][NAME]["gateway"]["nodes"] = ["pi5-a", "pi5-b"]
    fleet["hosts"]["pi5-b"]["serving"]["expose"] = "local"
    (folder / "fleet.yml").write_text(yaml.safe_dump(fleet))
    done = subprocess.run(
        [str(BRAMBLE), "plan", NAME],
        cwd=ROOT,
        env=os.environ | {"BRAMBLE_INVENTORY": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 2
    assert "healthy: gateway.nodes[1]: pi5-b lets nobody in" in done.stderr
