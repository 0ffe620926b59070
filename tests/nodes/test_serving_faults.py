"""A node that serves, and whose server is killed: it serves again."""

import shlex
import shutil

import pytest

from bramble.virtual import paths
from tests.nodes.test_upgrade import Rolling

pytestmark = [pytest.mark.nodes, pytest.mark.thorough]

NODE, PORT = "vpi-67", 8077
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

    def wants(self):
        roles = {"roles": ["base", "engine", "model", "serving"]}
        serving = {"port": PORT, "start_deadline_s": 60}
        self.write([NODE], {NODE: {"node": roles, "serving": serving}})


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE)
    fleet = Serving(tmp_path_factory.mktemp("fleet"))
    kept = paths.cache_dir() / "engine"
    if kept.exists():
        shutil.copytree(kept, fleet.store)
    fleet.wants()
    done = fleet.bramble("up", NODE)
    assert done.returncode == 0, done.stdout
    yield fleet
    virtual_pis.down(NODE)


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


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
