"""A secret is used and appears nowhere: the token of a model hub, of the environment or a file.

All processes of this computer, and with them the node's, are looked at 50 times a second meanwhile.
"""

import hashlib
import random
import shlex
import subprocess
import sys

import pytest

from bramble.models import cache, lock
from bramble.virtual import paths
from bramble.virtual.model import GATEWAY
from tests.nodes.fleet import Fleet
from tests.nodes.leaks import Watch, canary, files_with, on_node
from tests.unit.remote.scripted_server import Status, serving

pytestmark = [pytest.mark.nodes, pytest.mark.thorough, pytest.mark.fault("F28")]

NODE = "vpi-66"
CONTENT = b"GGUF" + random.Random(1).randbytes(5 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TOKEN = canary("hf_")
# Our own programs of this computer, which inherit the environment, and hand it to nobody on a node.
OURS = (sys.executable,)


class Gated(Fleet):
    """A node that gets the role model alone, of a model that the hub gives with the token only."""

    def wants(self, server):
        model = {"use": "toy:q4_0", "endpoint": server.url.rpartition("/")[0]}
        model |= dict.fromkeys(("name", "path", "sha256"))
        self.write([NODE], {NODE: {"node": {"roles": ["model"]}, "model": model}})

    def environment(self, **more):
        kept = {cache.VARIABLE: str(self.folder / "kept")}
        return super().environment(**kept, **self.login, **more)


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE)
    fleet = Gated(tmp_path_factory.mktemp("fleet"))
    entry = lock.Locked(
        repo="Toys/Toy", revision="c" * 40, file="toy.gguf", size_bytes=len(CONTENT), sha256=SHA256
    )
    lock.write(fleet.folder, {"toy:q4_0": entry})
    yield fleet
    virtual_pis.down(NODE)


@pytest.fixture(params=["environment", "file"])
def login(request, fleet, tmp_path):
    """The token in the environment, or where the hub's own program keeps it."""
    if request.param == "environment":
        fleet.login = {"HF_TOKEN": TOKEN}
    else:
        (tmp_path / "token").write_text(TOKEN)
        fleet.login = {"HF_TOKEN_PATH": str(tmp_path / "token")}
    return fleet.login


def test_the_token_of_a_hub_appears_nowhere(fleet, login, virtual_pis, record_property):
    said = []
    with (
        Watch(TOKEN, allowed=OURS) as watch,
        serving(CONTENT, GATEWAY) as hub,
        serving(CONTENT, "127.0.0.1") as here,
    ):
        fleet.wants(hub)
        hub.script = [Status(401)] * 999
        endpoint = here.url.rpartition("/")[0]
        for words in (
            ("model", "pull", "toy:q4_0"),
            ("plan", NODE, "--json"),
            ("up", NODE, "--dry", "--diff"),
            ("up", NODE),
            ("verify", NODE, "--json"),
        ):
            done = fleet.bramble(*words, HF_ENDPOINT=endpoint)
            assert done.returncode == 0, done.stdout
            said.append(done.stdout)
        assert here.tokens[0] == f"Bearer {TOKEN}", "it was not used"
        assert set(hub.tokens) <= {None}
        (fleet.folder / "kept").rename(fleet.folder / f"kept-{len(fleet.reports)}")
    found = {
        *watch.found,
        *(("here", path) for path in files_with(TOKEN, fleet.folder)),
        *written(virtual_pis),
        *(("output", text) for text in said if TOKEN in text),
    }
    record_property("leaked_secrets", len(found))
    assert watch.looks > 10
    assert found == set()


def written(virtual_pis):
    """What the node shows of the secret, and the files that the commands leave here."""
    yield from on_node(
        lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}"), TOKEN
    )
    yield from (("here", path) for path in files_with(TOKEN, paths.node_dir(NODE)))


def test_what_would_leak_is_seen(virtual_pis, fleet):
    with Watch(TOKEN) as watch:
        subprocess.run(["sh", "-c", f"sleep 1; : {TOKEN}"], check=True)
        argv = "sudo systemd-run -q --wait -p Environment=X=" + TOKEN + " sleep 1"
        virtual_pis.said(NODE, argv)
    assert {kind for kind, _ in watch.found} == {"argv", "environment"}
    virtual_pis.said(NODE, f"sudo sh -c 'echo {TOKEN} >/etc/planted'")
    kinds = {kind for kind, _ in written(virtual_pis)}
    assert {"node", "journal", "here"} <= kinds
