"""Nodes whose network goes: each is told within 30 s, the others go on, and the next run converges."""

import itertools
import json
import subprocess
import sys
import threading

import pytest

from bramble.remote import hold_node
from tests.nodes.fleet import Fleet, wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.thorough]

HEALTHY, *LOST = (f"vpi-{number}" for number in range(60, 66))
# By the number of a host's command: the look, its steps, and what confirms the last of them.
POINTS = {when: [(number, when) for number in range(1, 6)] for when in ("before", "during")}
# Each has as much to do, whatever ran before it: a package, a name, and an option of sshd on trial.
WANTED = {
    "before": {"packages": ["hello"], "ssh": {"password_authentication": False}},
    "during": {"packages": ["hello", "sl"], "ssh": {"password_authentication": True}},
    "flapping": {"packages": ["hello", "sl", "tree"], "ssh": {"password_authentication": False}},
}
TOLD_WITHIN_S = 30
UPS, DOWN_S, UP_S = 5, 5, 5


class Lossy(Fleet):
    """Nodes that get the role base, and lose their links."""

    def wants(self, when):
        base = {**WANTED[when], "hostname": f"attic-{when}"}
        self.write((HEALTHY, *LOST), dict.fromkeys((HEALTHY, *LOST), self.own(base)))

    @staticmethod
    def own(base):
        return {"node": {"roles": ["base"]}, "base": base}

    def cut(self, when, times):
        """A deploy on them all, which loses a link at each point."""
        cuts = dict(zip(LOST, POINTS[when], strict=True))
        argv = [
            sys.executable,
            "tests/faults/cut_links.py",
            "inventory.py",
            "deploys/node.py",
            "-y",
        ]
        return self.run(argv, CUTS=json.dumps(cuts), CUT_TIMES=str(times))

    def converges(self):
        """Whether one run goes well everywhere, and the next one changes nothing."""
        done = self.pyinfra("node", "-y")
        assert done.returncode == 0, done.stdout
        again = self.pyinfra("node", "-y")
        (end,) = self.events("end")
        return (again.returncode, end["changed"]) == (0, [])


def let_go(virtual_pis, name):
    """Wait until the run that vanished holds the node no more, which no other one does for it."""
    free = f"sudo sh -c 'test ! -e {hold_node.LOCK} || flock -n {hold_node.LOCK} true'"
    wait_until(
        lambda: virtual_pis.run(name, free).returncode == 0,
        4 * hold_node.SILENT_S,
        f"{name} being held by nobody",
    )


def link(name, state):
    subprocess.run(["ip", "link", "set", f"vb-{name}", state], check=True)


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(HEALTHY)
    virtual_pis.up(*LOST, clone_of=HEALTHY)
    yield Lossy(tmp_path_factory.mktemp("fleet"))
    virtual_pis.down(HEALTHY, *LOST)


@pytest.fixture
def back(virtual_pis):
    """All links up again, whatever happened, and every node answering."""
    yield
    for name in LOST:
        link(name, "up")
    for name in LOST:
        wait_until(lambda name=name: virtual_pis.boot_id(name), 60, f"{name} being back")


@pytest.mark.fault("F5", "F27")
@pytest.mark.parametrize("when", POINTS)
def test_nodes_that_vanish_at_a_command_are_told_soon_and_hold_nobody_up(
    fleet, back, virtual_pis, tmp_path, when, record_property
):
    fleet.wants(when)
    done = fleet.cut(when, tmp_path / "times")
    (end,) = fleet.events("end")
    assert (done.returncode, end["complete"]) == (1, True), done.stdout
    assert end["failed"] == LOST, done.stdout
    assert HEALTHY in end["changed"], done.stdout
    assert set(fleet.statuses(HEALTHY).values()) <= {"pass", "skip"}
    times = [line.split() for line in (tmp_path / "times").read_text().splitlines()]
    assert sorted(name for name, _ in times) == LOST
    late = [(name, seconds) for name, seconds in times if float(seconds) > TOLD_WITHIN_S]
    record_property("hangs", len(late))
    assert late == []
    for name in LOST:
        link(name, "up")
        let_go(virtual_pis, name)
    assert fleet.converges()


@pytest.mark.fault("F6")
def test_a_run_through_a_network_that_comes_and_goes_ends_and_the_next_one_converges(
    fleet, back, virtual_pis
):
    fleet.wants("flapping")
    over = threading.Event()

    def flap(name, after_s):
        over.wait(after_s)
        for state in itertools.islice(itertools.cycle(("down", "up")), 2 * UPS):
            link(name, state)
            over.wait(DOWN_S if state == "down" else UP_S)

    flapping = [
        threading.Thread(target=flap, args=(name, number)) for number, name in enumerate(LOST)
    ]
    for thread in flapping:
        thread.start()
    try:
        done = fleet.pyinfra("node", "-y")
    finally:
        over.set()
        for thread in flapping:
            thread.join()
    (end,) = fleet.events("end")
    assert end["complete"], done.stdout
    assert HEALTHY not in end["failed"]
    assert "Traceback" not in done.stdout
    for name in LOST:
        link(name, "up")
        let_go(virtual_pis, name)
    assert fleet.converges()
