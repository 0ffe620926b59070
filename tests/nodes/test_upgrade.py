"""Releases on their way through eight nodes, and back: whatever fails, a node ends up serving.

One node compiles; every other release of these tests is the same programs under another name in the
store, so that no second compile is needed. The tests go on from each other, so the fault matrix has them
all.
"""

import hashlib
import json
import shlex
import subprocess
import tarfile

import pytest

from bramble import virtual
from bramble.llama import lock as engine_lock
from bramble.llama import store
from bramble.roles.engine.settings import COMMIT
from bramble.virtual import lifecycle, source
from bramble.virtual.container import cgroups
from bramble.virtual.waiting import ssh_banner
from tests.nodes.fleet import BIN, ROOT, Fleet, as_json, wait_until

pytestmark = pytest.mark.nodes

NAMES = tuple(f"vpi-{number}" for number in range(181, 189))
FIRST, CANARY, THIRD, UNHEALTHY, *LATER = NAMES
LAST = LATER[-1]
FRESH = tuple(f"vpi-{number}" for number in range(41, 49))
*SOUND, FROZEN, PASSWORD, FULL, GONE = FRESH
# What is said of each faulty node.
TOLD = {
    # While it answers a step, or as the next one begins.
    FROZEN: " 15 s",
    PASSWORD: "sudo asks pi for a password",
    FULL: "MiB",
    GONE: "the connection failed",
}
HOME = "/opt/bramble/engine"
# The programs call themselves by the first nine digits of their commit, which stay.
NEXT = COMMIT[:9] + "1" * 31
SLEEPER = "#!/bin/sh\nexec sleep infinity\n"
# By its prefix: a drop-in of this unit alone would be set aside.
DROP_IN = "/etc/systemd/system/llama-.service.d/fault.conf"


class Rolling(Fleet):
    """Nodes that take releases by their commit from the store, and never compile."""

    def wants(self, *names, **engine):
        """Name these nodes (all without a name), with these settings of their engines too."""
        own = {
            "node": {"roles": ["base", "engine", "model", "serving"]},
            "engine": {"source": {"archive": None, "git": {}}, "recipe": "cross", **engine},
            # Eight nodes share two cores: how fast one is says little.
            "serving": {"start_deadline_s": 20, "gate": {"speed_share": 0.05}},
        }
        names = names or NAMES
        self.write(names, dict.fromkeys(names, own))

    def planned(self, name):
        """The release that is planned for a node and not there yet."""
        (plan,) = as_json(self.bramble("plan", name, "--json"))["plans"]
        (why,) = [s["why"] for s in plan["steps"] if s["step"] == "Install llama.cpp"]
        return why.split()[1]

    def stored(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(store.VARIABLE, str(self.store))
            return store.entries()

    def lock(self):
        return engine_lock.read(self.folder)

    def upgrade(self, *words):
        """`bramble upgrade --json`: its exit code, and what became of each host."""
        done = self.bramble("upgrade", *words, "--json")
        rows = json.loads(done.stdout[done.stdout.index("{\n") : done.stdout.rindex("}") + 1])
        return done.returncode, {row["host"]: row for row in rows["hosts"]}

    def answers(self, name):
        """Whether a node's model answers rightly, whatever release it is."""
        done = self.bramble("ask", "--host", name, "What is 2+2?")
        return (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["4"])

    def serves(self, *names):
        """Whether every check of these nodes passes, the question to the model among them."""
        code, results = self.verify(*names)
        return code == 0 and len(results) > len(names)


@pytest.fixture
def on(virtual_pis):
    """A command on a node as root: on(name, command) is what it printed."""
    return lambda name, command: virtual_pis.said(name, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture
def current(on):
    """The release that a node's link points to."""
    return lambda name: on(name, f"basename $(readlink {HOME}/current)")


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A node that compiled; then it has a release by its commit, and seven clones."""
    source.fetch(print)
    virtual_pis.up(FIRST)
    fleet = Rolling(tmp_path_factory.mktemp("fleet"))
    own = {"node": {"roles": ["base", "engine", "model", "serving"]}}
    fleet.write([FIRST], {FIRST: own})
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (fleet.compiled,) = fleet.stored()
    fleet.wants(FIRST)
    stock(fleet)
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    virtual_pis.up(*NAMES[1:], clone_of=FIRST)
    fleet.wants()
    yield fleet
    virtual_pis.down(*NAMES)


def stock(fleet, server=None, name=FIRST):
    """Have the planned release in the store: the programs of another one, or a server of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store.VARIABLE, str(fleet.store))
        release, base = fleet.planned(name), fleet.compiled
        unpacked = fleet.folder / release
        with tarfile.open(base.path) as archive:
            archive.extractall(unpacked, filter="data")
        manifest = json.loads((unpacked / "manifest.json").read_text()) | {"release": release}
        if server:
            path = unpacked / "bin" / "llama-server"
            path.write_text(server)
            manifest["binaries"]["llama-server"] = hashlib.sha256(server.encode()).hexdigest()
        (unpacked / "manifest.json").write_text(json.dumps(manifest))
        store.add(unpacked)
    return release


@pytest.fixture(scope="module")
def rolled(fleet, virtual_pis):
    """A roll of another commit that one node's fault stopped: what it said, and what serves."""
    old = virtual_pis.said(FIRST, f"basename $(readlink {HOME}/current)")
    lock = engine_lock.Lock(commit=NEXT)
    engine_lock.write(fleet.folder, lock)
    new = stock(fleet)
    (fleet.folder / engine_lock.FILE).unlink()
    fault = f"[Service]\\nExecStartPre=/bin/sh -c 'readlink {HOME}/current | grep -q {old}'\\n"
    virtual_pis.said(
        UNHEALTHY,
        f"sudo mkdir -p $(dirname {DROP_IN}) && printf {shlex.quote(fault)} | sudo tee {DROP_IN}",
    )
    code, rows = fleet.upgrade("--to", NEXT, "--canary", CANARY, "--batch", "3")
    return old, new, code, rows


@pytest.mark.fault("F12")
def test_a_roll_stops_at_a_node_that_fails_which_serves_its_old_release(fleet, rolled, current):
    old, new, code, rows = rolled
    assert code == 1
    assert [name for name in rows if rows[name]["state"] == "upgraded"] == [CANARY, FIRST, THIRD]
    assert rows[UNHEALTHY]["state"] == "failed"
    assert (
        f"release {new} was rejected: llama-server.service failed to start"
        in (rows[UNHEALTHY]["why"])
    )
    assert rows[UNHEALTHY]["why"].endswith(f"{old} serves again")
    assert {rows[name]["state"] for name in LATER} == {"not begun"}
    assert {name: current(name) for name in NAMES} == {
        name: new if name in (CANARY, FIRST, THIRD) else old for name in NAMES
    }
    # The lock means what serves, on every node.
    assert fleet.lock().rolling.hosts == (CANARY, FIRST, THIRD)
    assert fleet.serves(*[name for name in NAMES if name != UNHEALTHY])
    _, results = fleet.verify(UNHEALTHY)
    unwell = [check for (_, check), entry in results.items() if entry["status"] == "fail"]
    assert unwell == ["serving.unit_is_loaded_as_written"]  # the fault itself


@pytest.mark.fault("F12")
def test_the_node_refuses_that_release_until_it_is_mended_and_the_next_run_ends_the_roll(
    fleet, rolled, on, current
):
    old, new, _, _ = rolled
    code, rows = fleet.upgrade(UNHEALTHY)
    assert code == 1
    assert f"release {new} was rejected here on" in rows[UNHEALTHY]["why"]
    assert rows[UNHEALTHY]["why"].endswith(f"run `bramble upgrade --again {UNHEALTHY}`")
    assert current(UNHEALTHY) == old
    on(UNHEALTHY, f"rm {DROP_IN}; systemctl daemon-reload")
    code, rows = fleet.upgrade("--again", "--batch", "8")
    assert code == 0, rows
    assert {name: current(name) for name in NAMES} == dict.fromkeys(NAMES, new)
    assert fleet.lock() == engine_lock.Lock(commit=NEXT)
    assert fleet.serves()


@pytest.mark.fault("F30")
def test_a_rollback_is_kept_by_every_deploy_until_the_next_upgrade(fleet, rolled, current):
    old, new, _, _ = rolled
    done = fleet.bramble("rollback", LAST)
    assert done.returncode == 0, done.stdout
    assert f"{LAST}: rolled back: {old}" in done.stdout
    assert (current(LAST), fleet.lock().hosts[LAST].release) == (old, old)
    deployed = fleet.pyinfra("node", "-y", "--limit", LAST, "--limit", FIRST)
    assert deployed.returncode == 0, deployed.stdout
    assert fleet.events("end")[0]["changed"] == []
    assert fleet.upgrade(LAST)[0] == 0
    assert (current(LAST), dict(fleet.lock().hosts)) == (new, {})


@pytest.mark.fault("F30")
def test_a_rollback_whose_release_is_gone_changes_nothing(fleet, rolled, on, current):
    old, new, _, _ = rolled
    on(LAST, f"rm -r {HOME}/releases/{old}")
    done = fleet.bramble("rollback", LAST)
    assert done.returncode == 1
    assert f"release {old}, which ran here before, is not there any more" in done.stdout
    assert (current(LAST), dict(fleet.lock().hosts)) == (new, {})
    assert fleet.serves(LAST)


@pytest.mark.fault("F12")
@pytest.mark.parametrize(
    ("server", "fault", "why"),
    [
        (SLEEPER, "true", "did not answer 200 at"),
        (None, f"sed -i -E 's/(_second.: )/\\11000/' {HOME}/good.json", "tokens/s, and"),
    ],
    ids=["never healthy", "slower than the gate"],
)
def test_a_release_that_fails_the_gate_of_a_deploy_leaves_the_old_one_serving(
    fleet, rolled, on, current, server, fault, why
):
    _, new, _, _ = rolled
    fleet.wants(options={"GGML_LTO": "ON" if server else "OFF"})
    bad = stock(fleet, server)
    on(FIRST, fault)
    done = fleet.pyinfra("node", "-y", "--limit", FIRST)
    assert done.returncode == 1
    assert f"[{FIRST}] release {bad} was rejected: " in done.stdout
    assert why in done.stdout
    assert f"; {new} serves again" in done.stdout
    fleet.wants()
    assert current(FIRST) == new
    assert fleet.serves(FIRST)


def stopped(name):
    """Whether a node is off."""
    return {node.name: node.state for node in virtual.nodes()}[name] == "stopped"


@pytest.mark.fault("F3")
@pytest.mark.parametrize(
    ("steps", "option", "server"),
    [
        (1, "ON1", None),
        (2, "ON2", None),
        pytest.param(2, "ON3", SLEEPER, marks=pytest.mark.thorough),
    ],
    ids=["unpacked and not linked", "linked and not restarted", "linked, and never healthy"],
)
def test_a_power_cut_on_the_way_ends_with_the_node_serving(
    fleet, rolled, current, on, steps, option, server
):
    old = current(THIRD)
    fleet.wants(THIRD, options={"GGML_LTO": option})
    new = stock(fleet, server, THIRD)
    stops = ["tests/nodes/stops_in_engine.py", "--data", f"steps={steps}"]
    deploy = subprocess.Popen(
        [BIN / "pyinfra", "inventory.py", *stops, "-y"],
        cwd=ROOT,
        env=fleet.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in deploy.stdout:
        said.append(line)
        if "stopped between two steps" in line:
            break
    else:
        pytest.fail("".join(said))
    assert current(THIRD) == (old if steps == 1 else new)
    deploy.kill()
    deploy.wait()
    cgroups.kill(THIRD)  # every process of the node at once, as a power cut does
    wait_until(lambda: stopped(THIRD), 30, "the node being off")
    virtual.up([THIRD])
    if not server:
        wait_until(lambda: fleet.answers(THIRD), 60, "an answer before any other run")
    code, rows = fleet.upgrade(THIRD)
    if server:
        assert code == 1
        assert rows[THIRD]["why"].endswith(f"{old} serves again")
        fleet.wants(THIRD, options={"GGML_LTO": "ON2"})
    else:
        assert (code, rows[THIRD]["state"]) == (0, "upgraded")
    assert current(THIRD) == (old if server else new)
    assert fleet.serves(THIRD)
    assert int(on(THIRD, f"ls {HOME}/releases | wc -l")) <= 3


def freeze(name):
    """Stop every sshd of a node, as a stall of its memory does: its kernel still answers."""
    node = lifecycle.running(name)
    argv = virtual.ssh_argv(node, "sudo sh -c 'kill -STOP $(pidof sshd)'")
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as stopping:
        wait_until(lambda: not ssh_banner(node.address, node.port), 60, "the stop of sshd")
        stopping.kill()


@pytest.mark.fault("F5", "F27")
def test_four_faulty_nodes_of_eight_are_named_and_the_other_four_serve(fleet, virtual_pis, on):
    """New nodes; two of the four are lost while they install the release."""
    virtual_pis.up(*FRESH)
    fleet.wants(*FRESH)
    on(PASSWORD, "rm /etc/sudoers.d/010_pi-nopasswd && echo 'pi ALL=(ALL) ALL' >/etc/sudoers.d/pi")
    on(FULL, f"mkdir -p {HOME} && mount -t tmpfs -o size=64k tmpfs {HOME}")
    deploy = fleet.start_pyinfra("node", "-y", stdout=subprocess.PIPE)
    said = []
    for line in deploy.stdout:
        said.append(line)
        if line.lstrip().startswith(f"[{FROZEN}] ") and ": Install llama.cpp: " in line:
            freeze(FROZEN)
        if line.lstrip().startswith(f"[{GONE}] ") and ": Install llama.cpp: " in line:
            subprocess.run(["ip", "link", "set", f"vb-{GONE}", "down"], check=True)
    assert deploy.wait(timeout=60) == 1
    (end,) = fleet.events("end")
    assert end["failed"] == sorted(TOLD), "".join(said)
    assert end["complete"]
    for name, reported in TOLD.items():
        lines = [line for line in said if f"[{name}]" in line]
        assert any(reported in line for line in lines), "".join(said)
    assert fleet.serves(*SOUND)
    subprocess.run(["ip", "link", "set", f"vb-{GONE}", "up"], check=True)
    virtual_pis.down(*FRESH)
