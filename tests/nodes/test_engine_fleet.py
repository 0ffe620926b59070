"""A fleet of one processor compiles once, and what goes wrong on the way leaves it serving."""

import re
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bramble import report
from bramble.llama import store
from bramble.pyinfra.connector import ALIVE_EVERY_S
from bramble.settings import SILENCE_S
from bramble.virtual import source
from bramble.virtual.model import GATEWAY, address_of
from tests.nodes.fleet import MAIN_JOB_TIMEOUT_S, Fleet, wait_until
from tests.unit.remote.scripted_server import Whole, serving

pytestmark = pytest.mark.nodes

NAMES = ("vpi-111", "vpi-112", "vpi-113", "vpi-114")
ROLES = ["base", "engine", "model", "serving"]
RELEASES = "/opt/bramble/engine/releases"
BUILD = "'bramble-build-engine-*'"


class Many(Fleet):
    """Nodes that differ in nothing but their names."""

    def wants(self, *names, **engine):
        """Name these nodes, with these settings of their engines."""
        own = {"node": {"roles": ROLES}, "engine": engine}
        self.write(names, dict.fromkeys(names, own))

    def happened(self, kind):
        """The last report's builds or transfers: which host, and what."""
        return [(event["host"], event.get("state") or event["way"]) for event in self.events(kind)]

    def all_answer(self):
        """Whether every check of every node passes, the question to its model among them."""
        code, results = self.verify()
        assert {name for name, _ in results} >= set(NAMES)
        assert {results[name, "serving.model_answers"]["status"] for name in NAMES} == {"pass"}
        return code == 0


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """Four fresh nodes and an empty store."""
    source.fetch(print)
    virtual_pis.up(*NAMES)
    fleet = Many(tmp_path_factory.mktemp("fleet"))
    fleet.wants(*NAMES)
    yield fleet
    virtual_pis.down(*NAMES)


@pytest.fixture(scope="module")
def built(fleet):
    """What the first run on them all said."""
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def on(virtual_pis):
    """A command on a node as root: on(name, command) is what it printed."""
    return lambda name, command: virtual_pis.said(name, f"sudo sh -c {shlex.quote(command)}")


def test_four_nodes_of_one_processor_compile_once(fleet, built):
    builder = fleet.events("build")[0]["host"]
    assert fleet.happened("build") == [(builder, "begun"), (builder, "done")]
    others = [(name, "pulled") for name in NAMES if name != builder]
    assert sorted(fleet.happened("transfer")) == others
    assert f"which {builder} makes" in built
    assert fleet.all_answer()


def test_a_second_run_builds_and_moves_nothing(fleet, built):
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.events("end")[0]["changed"] == []
    assert fleet.happened("build") + fleet.happened("transfer") == []


def test_what_a_node_and_the_store_lost_comes_from_a_node_that_has_it(fleet, built, on):
    shutil.rmtree(fleet.store)
    on(NAMES[0], f"rm -r {RELEASES}/*")
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert re.search(
        rf"\[{NAMES[0]}\] vpi-11[2-4] has release \S+: fetching it into the store", done.stdout
    )
    assert fleet.happened("build") == []
    assert fleet.happened("transfer") == [(NAMES[0], "pulled")]


def test_what_a_mirror_truncates_or_alters_comes_from_this_computer(fleet, built, on, monkeypatch):
    monkeypatch.setenv(store.VARIABLE, str(fleet.store))
    (entry,) = store.entries()
    archive = entry.path.read_bytes()
    middle = len(archive) // 2
    altered = archive[:middle] + bytes([archive[middle] ^ 1]) + archive[middle + 1 :]
    first, second = NAMES[:2]
    for name in (first, second):
        on(name, f"rm -r {RELEASES}/*")
    with serving(archive, GATEWAY) as mirror:
        mirror.script = [Whole(cut_after=middle), Whole(instead=altered)]
        fleet.wants(first, second, mirror=mirror.url.rpartition("/")[0])
        done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert f"it ended after {middle} of {len(archive)} bytes" in done.stdout
    assert f"and the store says {entry.sha256}" in done.stdout
    assert {event["source"].partition(":")[0] for event in fleet.events("transfer")} == {GATEWAY}
    fleet.wants(*NAMES)
    assert fleet.all_answer()


@contextmanager
def behind_a_firewall(name):
    """Whatever this computer answers to the node gets lost, but for its own SSH."""
    to_ssh = ("to", address_of(name), "ipproto", "tcp", "dport", "22", "lookup", "main")
    rules = {"10": to_ssh, "11": ("to", address_of(name), "ipproto", "tcp", "unreachable")}
    for priority, rule in rules.items():
        subprocess.run(["ip", "rule", "add", "priority", priority, *rule], check=True)
    try:
        yield
    finally:
        for priority, rule in rules.items():
            subprocess.run(["ip", "rule", "delete", "priority", priority, *rule], check=True)


def test_a_node_that_a_firewall_keeps_from_pulling_is_sent_it_over_ssh(fleet, built, on):
    name = NAMES[0]
    fleet.wants(name)
    on(name, f"rm -r {RELEASES}/*")
    with behind_a_firewall(name):
        done = fleet.pyinfra("node", "-y")
    fleet.wants(*NAMES)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"\[{name}\] .*not pulled: {GATEWAY}:\d+: .*timed out", done.stdout)
    assert f"[{name}] sending release" in done.stdout
    assert fleet.happened("build") == []
    assert fleet.happened("transfer") == [(name, "sent")]
    assert fleet.all_answer()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("size=64m", "MiB free and the release needs"),
        ("size=400m,nr_inodes=5", "No space left on device"),
    ],
)
def test_a_disk_that_is_or_becomes_full_leaves_the_old_release_serving(
    fleet, built, on, options, words
):
    """The small disk hides the release that runs: the node needs it again and has no room for it."""
    name = NAMES[0]
    fleet.wants(name)
    on(name, f"mount -t tmpfs -o {options} tmpfs {RELEASES}")
    try:
        done = fleet.pyinfra("node", "-y")
        asked = fleet.bramble("ask", "--host", name, "What is 2+2?")
        assert on(name, f"ls -A {RELEASES}") == ""
    finally:
        on(name, f"umount {RELEASES}")
        fleet.wants(*NAMES)
    assert done.returncode == 1
    assert words in done.stdout
    assert (asked.returncode, asked.stdout.splitlines()[-1:]) == (0, ["4"])
    assert fleet.all_answer()


@pytest.mark.parametrize("fault", ["no compiler", "no CMake", "another source"])
def test_what_cannot_be_built_is_told_and_the_old_release_serves(fleet, built, on, fault):
    name, engine = NAMES[0], {"build_number": 1}
    hidden = {"no compiler": "/usr/bin/g++", "no CMake": "/usr/bin/cmake"}.get(fault)
    words = {
        "no compiler": "CMAKE_CXX_COMPILER",
        "no CMake": "cmake is not installed here",
        "another source": f"and the inventory pins {'0' * 64}; nothing was built",
    }[fault]
    if hidden:
        on(name, f"mv {hidden} {hidden}.hidden")
    else:
        engine |= {"source": {"archive": {"sha256": "0" * 64}}}
    fleet.wants(name, **engine)
    try:
        done = fleet.pyinfra("node", "-y")
    finally:
        if hidden:
            on(name, f"mv {hidden}.hidden {hidden}")
        fleet.wants(*NAMES)
    assert done.returncode == 1
    assert words in done.stdout
    assert fleet.happened("build") == [(name, "begun"), (name, "failed")]
    assert fleet.all_answer()


def builders(path: Path) -> list[str]:
    """Who began to build, by a report under way."""
    return [
        event["host"]
        for event in report.read(path)
        if event["event"] == "build" and event["state"] == "begun"
    ]


OWNERS = (
    'for p in /proc/[0-9]*; do echo "$(cat $p/comm)" "$(stat -c %U $p)"; done 2>/dev/null; true'
)
# What a source of a build has a say in.
TOOLS = {"ar", "as", "c++", "cc", "cc1", "cc1plus", "ccache", "cmake", "g++", "gcc", "ld", "ninja"}


def owners(on, name) -> dict[str, set[str]]:
    """Whose the processes of a build are on a node at this moment, by their programs."""
    found: dict[str, set[str]] = {}
    for line in on(name, OWNERS).splitlines():
        program, _, user = line.rpartition(" ")
        # One that ended between the two looks has no owner.
        if program in TOOLS and user:
            found.setdefault(program, set()).add(user)
    return found


@pytest.fixture
def compiles(on):
    """Whether a node compiles at this moment."""

    def compiles(name):
        units = on(name, f"systemctl list-units --plain --no-legend {BUILD}")
        return "running" in units and "compiling" in on(name, "cat /run/bramble/steps/*/log")

    return compiles


@pytest.mark.fault("F2")
def test_a_builder_that_dies_is_followed_by_another_and_a_killed_run_by_its_builder(
    fleet, built, on, compiles
):
    fleet.wants(*NAMES, build_number=2)
    run = fleet.start_pyinfra("node", "-y")
    live = fleet.reports[-1]
    wait_until(lambda: builders(live), 120, "the election")
    (first,) = builders(live)
    wait_until(lambda: compiles(first), 60, "the first build")
    on(first, f"systemctl kill --signal=KILL {BUILD}")
    wait_until(lambda: len(builders(live)) == 2, 60, "the second election")
    second = builders(live)[1]
    tools = {}
    wait_until(lambda: tools.update(owners(on, second)) or tools, 60, "the second build")
    # It waits for the next run, however fast this computer compiles.
    on(second, f"systemctl kill --signal=STOP {BUILD}")
    assert set().union(*tools.values()) == {"bramble-build"}
    run.kill()
    run.wait()
    said = fleet.folder / "second.txt"
    with said.open("w") as file, fleet.start_pyinfra("node", "-y", stdout=file) as run:
        followed = f"[{second}] an earlier run's work is still under way"
        wait_until(lambda: followed in said.read_text(), 120, "the next run's following")
        on(second, f"systemctl kill --signal=CONT {BUILD}")
        assert run.wait(timeout=MAIN_JOB_TIMEOUT_S) == 0, said.read_text()
    assert second != first
    assert fleet.happened("build") == [(second, "begun"), (second, "done")]
    others = [(name, "pulled") for name in NAMES if name != second]
    assert sorted(fleet.happened("transfer")) == others
    assert fleet.all_answer()


@pytest.mark.thorough
@pytest.mark.fault("F26")
@pytest.mark.parametrize(("build_number", "ends"), [(3, "wakes up"), (4, "is killed")])
def test_a_compile_ends_while_this_computer_sleeps_and_nothing_is_compiled_again(
    fleet, built, on, compiles, build_number, ends
):
    name = NAMES[0]
    fleet.wants(name, build_number=build_number)
    run = fleet.start_pyinfra("node", "-y")
    wait_until(lambda: compiles(name), 120, "the compile")
    run.send_signal(signal.SIGSTOP)
    wait_until(
        lambda: not on(name, f"systemctl list-units --plain --no-legend {BUILD}"),
        MAIN_JOB_TIMEOUT_S,
        "the end of the compile",
    )
    # Longer than the run waits for any answer.
    time.sleep(ALIVE_EVERY_S + SILENCE_S + 1)
    run.send_signal(signal.SIGCONT if ends == "wakes up" else signal.SIGKILL)
    assert run.wait(timeout=300) == (0 if ends == "wakes up" else -signal.SIGKILL)
    for _ in range(2):
        done = fleet.pyinfra("node", "-y")
        assert done.returncode == 0, done.stdout
        assert fleet.happened("build") == []
    assert fleet.events("end")[0]["changed"] == []
    assert fleet.verify()[0] == 0
