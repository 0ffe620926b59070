"""Another model on a node that serves: it stays only where it proves itself, and damage is found.

The model that is switched to lies on a web server, and is larger than what a look hashes: what is
believed of it afterwards is its stamp, as of real models.
"""

import hashlib
import re
import shlex

import pytest

from bramble.llama import lock as engine_lock
from bramble.models import gguf
from bramble.virtual.model import GATEWAY
from tests.nodes.fleet import ROOT, Lasting, as_json
from tests.shapes.models import all_shapes
from tests.unit.remote.scripted_server import serving

pytestmark = pytest.mark.nodes

NODE = "vpi-200"
FOLDER = "/var/lib/bramble/models"
GOOD = "/opt/bramble/engine/good.json"
MODELS = ROOT / "models"
FIRST = "bramble-demo-q8_0"
# llama.cpp takes no notice of what comes after the tensors.
BIG = (MODELS / "bramble-demo-f16.gguf").read_bytes() + bytes(66 << 20)
HALF = 2_600_000


def stranger():
    """A model of an architecture that no llama.cpp knows."""
    data = (MODELS / f"{FIRST}.gguf").read_bytes()
    name = b"general.architecture\x08\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00llama"
    assert name in data
    return data.replace(name, name.removesuffix(b"llama") + b"lxama", 1)


def emptied():
    """A model whose second half is zeros, with the sha256 of that."""
    data = (MODELS / f"{FIRST}.gguf").read_bytes()
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


class Switching(Lasting):
    """A node that serves one model of this computer, or another of it or of an address."""

    def wants(self, name=FIRST, content=None, url=None, storage=False, **serving):
        """Have this be the model: the demo, these bytes below another name, or what an address has."""
        roles = ["base", *["storage"] * storage, "engine", "model", "serving"]
        own = {"node": {"roles": roles}, "serving": serving}
        if content is not None:
            file = self.folder / f"{name}.gguf"
            file.write_bytes(content)
            own["model"] = {"name": name, "path": str(file)}
        if url is not None:
            own["model"] = {"name": name, "path": None, "url": url}
            content = BIG
        if content is not None:
            own["model"]["sha256"] = hashlib.sha256(content).hexdigest()
        self.write([NODE], {NODE: own})

    def up(self):
        """`bramble up`: its exit code and what it said."""
        done = self.bramble("up", NODE)
        return done.returncode, done.stdout

    def reported(self):
        """What `bramble model list` reports about each file, by the name of its model."""
        said = as_json(self.bramble("model", "list", NODE, "--json"))
        (host,) = said["hosts"]
        return {row["path"].split("/")[-1].rpartition("-")[0]: row for row in host["models"]}


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A virtual Pi that serves the demo model."""
    virtual_pis.up(NODE, on_progress=print)
    fleet = Switching(tmp_path_factory.mktemp("fleet"))
    fleet.wants()
    code, said = fleet.up()
    assert code == 0, said
    return fleet


@pytest.fixture(scope="module")
def hub():
    """Where the second model lies."""
    with serving(BIG, GATEWAY) as server:
        yield server


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


@pytest.mark.fault("F11")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (emptied(), "' to 'What is 2+2?', wanted an answer with '4'"),
        (stranger(), "failed to start: unknown model architecture: 'lxama'"),
    ],
    ids=["a wrong answer", "unknown to llama.cpp"],
)
def test_a_model_that_fails_gives_way_and_is_not_tried_again_by_itself(fleet, on, content, why):
    fleet.wants("other", content)
    code, said = fleet.up()
    assert code == 1
    assert "model other was rejected: " in said
    assert why in said
    assert f"; {FIRST} serves again" in said
    restarted = on("systemctl show -p ExecMainStartTimestamp llama-server")
    code, said = fleet.up()
    assert (code, f"bramble upgrade --again {NODE}" in said) == (1, True)
    assert on("systemctl show -p ExecMainStartTimestamp llama-server") == restarted


def test_a_port_that_somebody_else_holds_is_told_by_its_holder_and_rejects_nothing(fleet, on):
    listen = "systemd-run -q --unit=other python3 -m http.server 8099 --bind 127.0.0.1"
    on(f"{listen}; until ss -Hltn | grep -q :8099; do sleep 0.1; done")
    fleet.wants(port=8099)
    code, said = fleet.up()
    assert code == 1
    assert re.search(
        r"port 8099 is held by python3 \(process \d+\); end that, or set serving.port", said
    )
    assert "rejected" not in said
    on("systemctl stop other")
    code, said = fleet.up()
    assert code == 0, said
    fleet.wants()
    assert fleet.up()[0] == 0


def test_another_model_is_switched_to_and_gone_back_from(fleet, hub, on):
    fleet.wants("big", url=hub.url)
    code, said = fleet.up()
    assert code == 0, said
    # The header was read here before the node fetched the file.
    assert (hub.heads, len(hub.ranges)) == (1, 1)
    reported = fleet.reported()
    assert reported["big"]["what"] == "the planned model, a process runs it"
    assert reported[FIRST]["what"] == "the predecessor, for going back"

    done = fleet.bramble("model", "rollback", NODE)
    assert done.returncode == 0, done.stdout
    assert f"{NODE}: rolled back: {FIRST}" in done.stdout
    assert "no changes" in fleet.up()[1]
    assert f"stays at model {FIRST} and does not get big" in fleet.bramble("config", NODE).stdout

    # A card that was replaced has no model to stay at: that is seen before anything is changed.
    on(f"mkdir {FOLDER}/aside; mv {FOLDER}/{FIRST}-* {FOLDER}/aside")
    for word in ("plan", "up"):
        done = fleet.bramble(word, NODE)
        assert done.returncode == 1
        assert "which is neither whole there (" in done.stdout
        assert fleet.events("step") == []
    on(f"mv {FOLDER}/aside/* {FOLDER}; rmdir {FOLDER}/aside")

    on(f"sed -i -E 's/(_second.: )/\\11000/' {GOOD}")
    done = fleet.bramble("model", "rollback", NODE)
    assert done.returncode == 1
    assert "model big was rejected: it makes " in done.stdout
    assert engine_lock.read(fleet.folder).models[NODE].name == FIRST
    on(f"sed -i -E 's/(_second.: )1000/\\1/' {GOOD}")
    done = fleet.bramble("model", "rollback", NODE)
    assert done.returncode == 0, done.stdout
    assert engine_lock.read(fleet.folder) == engine_lock.Lock()
    assert fleet.bramble("model", "prune", NODE).returncode == 0
    assert fleet.reported().keys() == {FIRST, "big"}


def test_a_model_of_an_address_that_does_not_fit_is_refused_by_its_header_alone(fleet, on):
    header = all_shapes()["llama-3.1-8b-q4_k_m"].header()
    total = int(on("grep MemTotal /proc/meminfo").split()[1]) // 1024
    with serving(b"never read", GATEWAY) as server:
        server.head = (header, gguf.read(header).file_bytes)
        fleet.wants("large", url=server.url, reserve_mib=total - 3000)
        for said in (fleet.bramble("plan", NODE), fleet.bramble("up", NODE)):
            assert said.returncode == 1
            assert "large does not fit, so nothing is fetched" in said.stdout
            assert "the model takes 4" in said.stdout
        assert (server.heads, server.ranges) == (2, [])


@pytest.mark.fault("F11")
def test_zeros_at_a_models_end_after_it_was_verified_are_found_and_mended(fleet, hub, on):
    """Its stamp is believed and /health is 200: the known answer tells, and the disk itself does."""
    fleet.wants("big", url=hub.url)
    assert fleet.up()[0] == 0
    on(
        f"f=$(ls {FOLDER}/big-*.gguf); touch -r $f /tmp/then; "
        f"dd if=/dev/zero of=$f bs=100000 seek={HALF // 100000} count=40 conv=notrunc status=none; "
        "touch -r /tmp/then $f; sync; systemctl restart llama-server"
    )
    code, results = fleet.verify()
    reported = {check: entry["status"] for (_, check), entry in results.items()}
    assert (reported["serving.health_is_ok"], reported["model.model_is_the_pinned_one"]) == (
        "pass",
        "pass",
    )
    assert (code, reported["serving.model_answers"]) == (1, "fail")
    looked = fleet.bramble("model", "verify", NODE)
    assert (looked.returncode, "damaged: on the disk: " in looked.stdout) == (1, True)
    code, said = fleet.up()
    assert code == 0, said
    assert "Run the service" in said
    assert fleet.bramble("verify", NODE, "--deep").returncode == 0


@pytest.mark.thorough
def test_models_move_to_the_ssd_and_what_is_served_follows_them_there_and_back(fleet, hub, on):
    fleet.wants("big", url=hub.url)
    code, said = fleet.up()
    assert code == 0, said
    asked = len(hub.ranges)
    card = on(f"cd {FOLDER}; sha256sum *.gguf")
    fleet.wants("big", url=hub.url, storage=True)
    code, said = fleet.up()
    assert code == 0, said
    assert "an SSD is mounted at /mnt/ssd" in said
    assert on(f"readlink {FOLDER}") == "/mnt/ssd/bramble/models"
    assert on(f"cd {FOLDER}; sha256sum *.gguf") == card
    assert len(hub.ranges) == asked
    process = "/proc/$(systemctl show -p MainPID --value llama-server)"
    assert on(f"grep -o '/[^ ]*[.]gguf' {process}/maps | sort -u").startswith("/mnt/ssd/")
    assert on(f"ls -d {FOLDER}*") == FOLDER
    code, said = fleet.up()
    assert (code, "no changes" in said) == (0, True)
    # Each way back knows where the model before is.
    assert fleet.bramble("model", "rollback", NODE).returncode == 0
    assert fleet.reported()[FIRST]["what"].startswith("the planned model")
    assert fleet.bramble("model", "rollback", NODE).returncode == 0
    assert len(hub.ranges) == asked
    done = fleet.bramble("revert", "storage", NODE)
    assert done.returncode == 0, done.stdout
    assert on("findmnt -n /mnt/ssd || echo none") == "none"
    assert on(f"stat -c %F {FOLDER}") == "directory"
    fleet.wants()
    code, said = fleet.up()
    assert code == 0, said
    assert FIRST in fleet.reported()
