"""Nodes of Bookworm and of Trixie in one fleet: the whole job, with one compile for each release."""

import pytest

from bramble.virtual import source
from tests.nodes.fleet import SKIPPED, Fleet

pytestmark = [pytest.mark.nodes, pytest.mark.thorough, pytest.mark.trixie]

NODES = {"vpi-61": "bookworm", "vpi-62": "bookworm", "vpi-63": "trixie", "vpi-64": "trixie"}


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    source.fetch(print)
    for name, release in NODES.items():
        virtual_pis.up(name, release=release)
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    fleet.write(NODES)
    yield fleet
    virtual_pis.down(*NODES)


def test_two_and_two_nodes_compile_once_for_each_release(fleet, virtual_pis):
    done = fleet.bramble("up")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": compiling ") == len({*NODES.values()})
    current = {
        name: virtual_pis.said(name, "readlink /opt/bramble/engine/current") for name in NODES
    }
    of = {release: {current[n] for n in NODES if NODES[n] == release} for release in NODES.values()}
    assert [len(found) for found in of.values()] == [1, 1]
    assert of["bookworm"] != of["trixie"]


def test_the_same_checks_pass_on_both_and_another_run_changes_nothing(fleet):
    code, results = fleet.verify()
    assert code == 0
    by_host = {
        name: {check: entry["status"] for (host, check), entry in results.items() if host == name}
        for name in NODES
    }
    assert len({tuple(sorted(found.items())) for found in by_host.values()}) == 1
    assert {c for c, status in by_host["vpi-63"].items() if status == "skip"} == {*SKIPPED}
    done = fleet.bramble("up")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": no changes;") == len(NODES)


def test_clients_come_in_by_tls_on_both(fleet):
    both = ("vpi-62", "vpi-63")
    fleet.write(NODES, {name: {"serving": {"expose": "tls"}} for name in both})
    key = fleet.key("create", "laptop")
    for name in both:
        assert fleet.bramble("tls", "issue", name).returncode == 0
    done = fleet.bramble("up", *both)
    assert done.returncode == 0, done.stdout
    code, results = fleet.verify(*both)
    assert (code, {entry["status"] for entry in results.values()}) == (0, {"pass", "skip"})
    for name in both:
        answer = fleet.bramble(
            "ask", "--direct", "--host", name, "What is 2+2?", BRAMBLE_API_KEY=key
        )
        assert answer.stdout.endswith("\n4\n"), answer.stdout
