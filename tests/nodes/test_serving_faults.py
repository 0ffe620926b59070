"""Faults of a node that serves: other files than the model, releases that end, kills.

What serves was verified, or what was good before serves again.
"""

import hashlib
import shlex
import shutil

import pytest

from bramble.virtual import paths
from bramble.virtual.model import GATEWAY
from tests.nodes.fleet import ROOT
from tests.nodes.test_upgrade import Rolling, stock
from tests.unit.remote.scripted_server import Page, Whole, serving

pytestmark = [pytest.mark.nodes, pytest.mark.thorough]

NODE, PORT = "vpi-67", 8077
FIRST = "bramble-demo-q8_0"
MODEL = (ROOT / "models" / f"{FIRST}.gguf").read_bytes()
# Runs on the node: does something to the server, and prints how long it takes to serve again.
TIMED = f"""
import subprocess, sys, time, urllib.request
def process():
    argv = ["systemctl", "show", "-p", "MainPID", "--value", "llama-server"]
    return subprocess.run(argv, capture_output=True, text=True).stdout.strip()
def healthy():
    try:
        return urllib.request.urlopen("http://127.0.0.1:{PORT}/health", timeout=2).status == 200
    except OSError:
        return False
before, began = process(), time.monotonic()
subprocess.run(["systemctl", *sys.argv[1:]], check=True)
while process() in (before, "0") or not healthy():
    time.sleep(0.1)
print(time.monotonic() - began)
"""


class Serving(Rolling):
    """A node that serves the demo model, with the release that this computer's cache has."""

    def wants(self, model=None, content=None, url=None, engine=None, **serving):
        own = {
            "node": {"roles": ["base", "engine", "model", "serving"]},
            "engine": engine or {},
            "serving": {"port": PORT, "start_deadline_s": 60, **serving},
        }
        if content is not None:
            file = self.folder / f"{model}.gguf"
            file.write_bytes(content)
            own["model"] = {"name": model, "path": None if url else str(file)}
            own["model"] |= {"url": url} if url else {}
            own["model"]["sha256"] = hashlib.sha256(content).hexdigest()
        self.write([NODE], {NODE: own})

    def up(self):
        done = self.bramble("up", NODE)
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE)
    fleet = Serving(tmp_path_factory.mktemp("fleet"))
    kept = paths.cache_dir() / "engine"
    if kept.exists():
        shutil.copytree(kept, fleet.store)
    fleet.wants()
    release = fleet.planned(NODE)
    code, said = fleet.up()
    assert code == 0, said
    (fleet.compiled,) = [entry for entry in fleet.stored() if entry.release == release]
    yield fleet
    virtual_pis.down(NODE)


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture
def started(on):
    """When the server that runs was started, and as which process."""
    return lambda: on("systemctl show -p MainPID -p ExecMainStartTimestampMonotonic llama-server")


@pytest.fixture
def again(fleet):
    """The node as it was, whatever a test made of it."""
    yield
    fleet.wants()
    fleet.bramble("model", "verify", NODE)  # what was damaged is trusted no longer
    code, said = fleet.up()
    assert code == 0, said


@pytest.mark.fault("F10")
@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Whole(instead=b"GGUF" + bytes(len(MODEL) - 4)), "sha256"),
        (Page(), "answers with a web page, not a file"),
        (
            Whole(instead=b"version https://git-lfs.github.com/spec/v1\noid sha256:ab"),
            "answers with a git-lfs pointer, not a file",
        ),
    ],
    ids=["another content", "a web page", "a Git LFS pointer"],
)
def test_what_is_not_the_model_stops_no_service(fleet, again, started, step, why):
    before = started()
    wanted = MODEL + bytes(32)
    with serving(wanted, GATEWAY) as server:
        server.script = [step] * 99
        fleet.wants("other", wanted, server.url)
        code, said = fleet.up()
    assert code == 1, said
    assert why in said
    if why == "sha256":
        assert hashlib.sha256(step.instead).hexdigest() in said
        assert hashlib.sha256(wanted).hexdigest() in said
    assert started() == before
    assert fleet.answers(NODE)


@pytest.mark.fault("F12")
@pytest.mark.parametrize("number", range(3), ids=["SIGILL", "exits", "hangs"])
def test_a_server_that_ends_or_hangs_gives_way_to_the_release_of_before(fleet, on, again, number):
    script = ("kill -ILL $$", "exit 3", "exec sleep infinity")[number]
    old = on("readlink /opt/bramble/engine/current")
    engine = {"options": {"GGML_LTO": f"FAULT{number}"}}
    fleet.wants(engine=engine, start_deadline_s=10)
    new = stock(fleet, f"#!/bin/sh\n{script}\n", NODE)
    code, said = fleet.up()
    assert code == 1, said
    assert f"release {new} was rejected: " in said
    assert f"; {old.split('/')[-1]} serves again" in said
    assert on("readlink /opt/bramble/engine/current") == old
    assert fleet.answers(NODE)


@pytest.mark.fault("F20")
@pytest.mark.parametrize("signal", ["SEGV", "KILL"])
def test_a_server_that_is_killed_serves_again_within_a_load_and_ten_seconds(fleet, on, signal):
    def timed(*words):
        return float(on(f"python3 -c {shlex.quote(TIMED)} {' '.join(words)} llama-server"))

    on("systemctl reset-failed llama-server")  # the starts below are no crashes
    load_s = max(timed("restart") for _ in range(2))
    killed_s = timed("kill", f"--signal={signal}", "--kill-who=main")
    assert killed_s <= load_s + 10
    assert fleet.answers(NODE)


@pytest.mark.fault("F30")
def test_a_model_to_go_back_to_that_is_damaged_is_reported_and_the_new_one_serves_on(
    fleet, on, again, started
):
    fleet.wants("second", MODEL + bytes(32))
    code, said = fleet.up()
    assert code == 0, said
    half = len(MODEL) // 2 // 1000
    on(
        f"f=$(ls /var/lib/bramble/models/{FIRST}-*.gguf); touch -r $f /tmp/then; "
        f"dd if=/dev/zero of=$f bs=1000 seek={half} count={half} conv=notrunc status=none; "
        "touch -r /tmp/then $f; sync"
    )
    before = started()
    for _ in range(2):
        done = fleet.bramble("model", "rollback", NODE)
        assert done.returncode == 1, done.stdout
        assert f"went back to {FIRST}, which is neither whole there (" in done.stdout
        assert "has sha256" in done.stdout
        assert started() == before
        assert fleet.answers(NODE)
