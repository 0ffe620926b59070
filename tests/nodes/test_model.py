"""A model by its name in models.yml, on a virtual Pi: locked, fetched through cuts, read back."""

import hashlib
import random

import pytest

from bramble.models import lock
from bramble.virtual.model import GATEWAY
from tests.nodes.fleet import Fleet
from tests.unit.remote.scripted_server import Whole, serving

pytestmark = pytest.mark.nodes

NODE = "vpi-148"
FOLDER = "/var/lib/bramble/models"
# More than a look hashes: what is believed afterwards is the stamp.
CONTENT = b"GGUF" + b"".join(random.Random(n).randbytes(1 << 20) for n in range(70))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = f"{FOLDER}/toy-q4_0-{SHA256[:12]}.gguf"


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A virtual Pi that gets the role model alone, of a model that is locked."""
    virtual_pis.up(NODE, on_progress=print)
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    entry = lock.Locked(
        repo="Toys/Toy", revision="c" * 40, file="toy.gguf", size_bytes=len(CONTENT), sha256=SHA256
    )
    lock.write(fleet.folder, {"toy:q4_0": entry})
    return fleet


@pytest.fixture
def hub(fleet):
    """What the node fetches from; each run names it, as its port is another one."""
    with serving(CONTENT, GATEWAY) as server:
        fleet.write([NODE], {NODE: {"node": {"roles": ["model"]}, "model": settings(server)}})
        yield server


def settings(server):
    endpoint = server.url.rpartition("/")[0]
    return {"use": "toy:q4_0", "endpoint": endpoint, "name": None, "path": None, "sha256": None}


@pytest.mark.fault("F8")
def test_a_locked_model_is_fetched_through_ten_cuts_and_stays(fleet, hub):
    dice = random.Random(5)
    hub.script = [Whole(cut_after=dice.randrange(1, len(CONTENT) // 11)) for _ in range(10)]
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert hub.sent_bytes <= 1.05 * len(CONTENT)
    assert len(hub.ranges) == 11
    again = fleet.bramble("up", NODE)
    assert "no changes; 3 of 4 checks pass, 1 skipped" in again.stdout
    assert len(hub.ranges) == 11


@pytest.mark.fault("F11")
def test_a_byte_that_changed_on_the_disk_is_found_by_a_deep_verify_and_mended(
    fleet, hub, virtual_pis
):
    spoil = (
        f"sudo sh -c 'touch -r {FILE} /tmp/then; printf x | dd of={FILE} bs=1 seek=50000000 "
        f"conv=notrunc status=none; touch -r /tmp/then {FILE}; sync'"
    )
    assert fleet.pyinfra("node", "-y").returncode == 0
    virtual_pis.said(NODE, spoil)
    assert fleet.bramble("verify", NODE).returncode == 0
    deep = fleet.bramble("verify", NODE, "--deep")
    assert deep.returncode == 1
    assert "on the disk: " in deep.stdout
    assert "bramble model verify" in deep.stdout
    looked = fleet.bramble("model", "verify", NODE)
    assert (looked.returncode, f"{FILE}  " in looked.stdout) == (1, True)
    assert "damaged: on the disk: " in looked.stdout
    assert fleet.pyinfra("node", "-y").returncode == 0
    assert "whole, the planned model" in fleet.bramble("model", "verify", NODE).stdout
    assert "the disk has it" in fleet.bramble("verify", NODE, "--deep", "-v").stdout


def test_old_models_go_and_the_predecessor_stays(fleet, hub, virtual_pis):
    assert fleet.pyinfra("node", "-y").returncode == 0
    make = "; ".join(
        f"touch {FOLDER}/{name}.gguf; touch -d @{at} {FOLDER}/{name}.gguf.json"
        for name, at in (("older", 1_600_000_000), ("old", 1_700_000_000))
    )
    virtual_pis.said(NODE, f"sudo sh -c '{make}'")
    done = fleet.bramble("model", "prune", NODE)
    assert done.returncode == 0, done.stdout
    assert f"removed {FOLDER}/older.gguf (0 MiB)" in done.stdout
    left = virtual_pis.said(NODE, f"ls {FOLDER}").split()
    assert left == ["old.gguf", "old.gguf.json", *(FILE.split("/")[-1] + e for e in ("", ".json"))]
    assert f"{NODE}: nothing to remove" in fleet.bramble("model", "prune", NODE).stdout
