"""`bramble doctor` on SSH servers that misbehave as nodes do: each is told, and delays nobody."""

import json
import re

import pytest
from click.testing import CliRunner
from ssh_double import Server, write_inventory

from bramble.cli import main
from bramble.doctor.reach import LIMIT_S

HEALTHY = "healthy"
# What each is told to have, and by which finding.
TOLD = {
    "says nothing at all": ("reachable", "takes connections and then says nothing"),
    "starts no command": ("reachable", f"no login within {LIMIT_S} s at 127.0.0.1"),
    "opens no channel": ("reachable", "the connection ended"),
    "hangs in the middle": ("reachable", "the connection ended"),
    "wants a sudo password": ("plan", "sudo asks pi for a password"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The findings of one run on all of them, and its project."""
    servers = [Server(faulty) for faulty in (HEALTHY, *TOLD)]
    project = tmp_path_factory.mktemp("doctor")
    write_inventory(project / "inventory", servers, {"node": {"roles": ["base"]}})
    names = [server.faulty.replace(" ", "-") for server in servers]
    done = CliRunner().invoke(
        main,
        ["doctor", *names, "--json"],
        env={"BRAMBLE_INVENTORY": str(project / "inventory"), "HOME": str(project)},
    )
    for server in servers:
        server.close()
    assert done.exit_code == 1, done.output
    return json.loads(done.stdout)["findings"], project


def of(found, host):
    return {one["what"]: one for one in found[0] if one["where"] == host.replace(" ", "-")}


def test_the_healthy_host_is_planned_beside_those_that_are_not(found):
    said = of(found, HEALTHY)
    assert [said[what]["status"] for what in ("trust", "reachable", "clock")] == ["ok"] * 3
    assert {one["what"] for one in said.values()} == {"trust", "reachable", "clock", "plan"}


@pytest.mark.parametrize("faulty", TOLD)
def test_each_fault_is_told_of_its_own_host(found, faulty):
    what, words = TOLD[faulty]
    said = of(found, faulty)[what]
    assert said["status"] == "wrong"
    assert re.search(words, said["found"]), said
    assert said["remedy"]


def test_hosts_are_told_as_they_answer_and_the_last_at_the_limit(found):
    order = [one["where"] for one in found[0] if one["what"] == "reachable"]
    assert order[-1] == "starts-no-command"
    assert order.index(HEALTHY) < order.index("says-nothing-at-all")


def test_nothing_is_left_of_it(found):
    assert {path.name for path in found[1].iterdir()} == {"inventory"}
