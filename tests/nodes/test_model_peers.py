"""A model comes to four virtual Pis by one reading of its origin, also where a node fails."""

import hashlib
import os
import random
import re
from contextlib import contextmanager

import pytest

from bramble.models import cache, lock
from bramble.virtual.model import GATEWAY
from tests.nodes.fleet import Fleet, wait_until
from tests.nodes.leaks import canary
from tests.unit.remote.scripted_server import Moved, Status, Whole, serving

pytestmark = pytest.mark.nodes

NAMES = ("vpi-191", "vpi-192", "vpi-193", "vpi-194")
FOLDER = "/var/lib/bramble/models"
CONTENT = b"GGUF" + b"".join(random.Random(n).randbytes(1 << 20) for n in range(70))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = f"{FOLDER}/toy-q4_0-{SHA256[:12]}.gguf"
TOKEN = canary("hf_")


class Many(Fleet):
    """Nodes that get the role model alone, of a model that is locked."""

    def wants(self, server, *names):
        model = {"use": "toy:q4_0", "endpoint": server.url.rpartition("/")[0]}
        model |= dict.fromkeys(("name", "path", "sha256"))
        own = {"node": {"roles": ["model"]}, "model": model}
        self.write(names, dict.fromkeys(names, own))

    def environment(self, **more):
        return super().environment(**{cache.VARIABLE: str(self.folder / "kept"), **more})

    def fetched(self):
        """Each host of the last run with whom it got the model from."""
        return {event["host"]: event["source"] for event in self.events("fetch")}


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(*NAMES)
    fleet = Many(tmp_path_factory.mktemp("fleet"))
    entry = lock.Locked(
        repo="Toys/Toy", revision="c" * 40, file="toy.gguf", size_bytes=len(CONTENT), sha256=SHA256
    )
    lock.write(fleet.folder, {"toy:q4_0": entry})
    yield fleet
    virtual_pis.down(*NAMES)


@pytest.fixture
def on(virtual_pis):
    """A command on every node as root, and what each printed."""
    return lambda command, names=NAMES: [
        virtual_pis.said(name, f"sudo sh -c '{command}'") for name in names
    ]


@contextmanager
def origin():
    with serving(CONTENT, GATEWAY) as server:
        yield server


def assert_whole(on, names=NAMES):
    """All of these have the file, and nothing of the run is left on them."""
    assert set(on(f"sha256sum {FILE}", names)) == {f"{SHA256}  {FILE}"}
    assert set(on("systemctl list-units --plain --no-legend bramble-*", names)) == {""}


def assert_bounded(on, name):
    """What passes the file on is held within its limits by systemd and by the kernel, as planned."""
    unit = "bramble-pass-on-*.service"
    wanted = {"MemoryMax": str(128 << 20), "LimitDATA": str(128 << 20), "TasksMax": "48"}
    wanted |= {"LimitNOFILE": "128", "LimitCORE": "0", "MemorySwapMax": "0"}
    asked = " ".join(f"-p {name}" for name in wanted)
    (reported,) = on(f"systemctl show {asked} {unit}", [name])
    assert dict(line.split("=") for line in reported.splitlines()) == wanted
    (limits,) = on(f"grep data /proc/$(systemctl show -p MainPID --value {unit})/limits", [name])
    assert limits.split()[3] == str(128 << 20)


def test_four_nodes_have_it_by_one_reading_of_the_origin(fleet, on):
    with origin() as hub:
        fleet.wants(hub, *NAMES)
        done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert (hub.ranges, hub.sent_bytes) == ([None], len(CONTENT))
    sources = fleet.fetched()
    (reader,) = [name for name, source in sources.items() if source not in NAMES]
    assert f"[{reader}] reads {sources[reader]}, also for 3 others" in done.stdout
    assert sorted(sources) == list(NAMES)
    assert_whole(on)


def test_a_node_that_lost_it_gets_it_from_one_that_has_it(fleet, on):
    on(f"rm {FILE}", NAMES[:2])
    with origin() as hub:
        fleet.wants(hub, *NAMES)
        done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert hub.ranges == [], done.stdout
    assert sorted(fleet.fetched()) == list(NAMES[:2])
    assert set(fleet.fetched().values()) <= {*NAMES}
    assert_whole(on)


def test_a_giver_that_dies_in_the_middle_is_gone_round(fleet, on, tmp_path):
    """The origin stands still in the middle until the fetch of the node that reads it is killed."""
    on(f"rm {FILE}")
    half, said = len(CONTENT) // 2, tmp_path / "said"
    with origin() as hub, said.open("w") as output:
        hub.script = [Whole(cut_after=half, stall=True)]
        fleet.wants(hub, *NAMES)
        run = fleet.start_pyinfra("node", "-y", stdout=output)
        wait_until(
            lambda: set(on(f"stat -c %s {FILE}.part 2>/dev/null || true")) == {str(half)},
            30,
            "half of it on every node",
        )
        (reader,) = re.findall(r"\[(\S+)\] reads http", said.read_text())
        assert_bounded(on, reader)
        on("systemctl kill --signal=KILL bramble-fetch-model-*", [reader])
        run.wait(120)
    sources = fleet.fetched()
    assert sorted([reader, *sources]) == sorted(NAMES)
    assert len([source for source in sources.values() if source not in NAMES]) == 1
    assert hub.ranges == [None, f"bytes={half}-"]
    assert_whole(on, tuple(sources))


@pytest.mark.fault("F28")
def test_a_gated_model_comes_from_this_computer_and_no_token_is_on_any_node(fleet, on):
    on(f"rm -f {FILE} {FILE}.part")
    with origin() as hub, serving(CONTENT, "127.0.0.1") as here:
        fleet.wants(hub, *NAMES)
        endpoint = here.url.rpartition("/")[0]
        here.script = [Moved(here.url)]
        pulled = fleet.bramble("model", "pull", "toy:q4_0", HF_TOKEN=TOKEN, HF_ENDPOINT=endpoint)
        assert pulled.returncode == 0, pulled.stdout
        assert here.tokens[0] == f"Bearer {TOKEN}"
        hub.script = [Status(401)] * 99
        done = fleet.pyinfra("node", "-y", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stdout
    assert hub.ranges == []
    assert sorted(fleet.fetched().values())[-1] == "your computer"
    assert_whole(on)
    # The pattern does not match itself, as sudo's log has the command.
    pattern, places = f"[{TOKEN[0]}]{TOKEN[1:]}", "/run /tmp /var /etc /root /home"
    found = on(f"grep -rl --devices=skip --exclude=*.gguf {pattern} {places} 2>/dev/null || true")
    assert set(found) == {""}
    assert on(f"echo {pattern} | sed s/[][]//g | grep -c {pattern}", NAMES[:1]) == ["1"]
    assert TOKEN not in pulled.stdout + done.stdout + fleet.reports[-1].read_text()
    assert os.environ.get("HF_TOKEN") is None
