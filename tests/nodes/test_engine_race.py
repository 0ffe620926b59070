"""Variants of llama.cpp raced on a virtual Pi: the winner is locked, and the next deploy brings it.

Which variant is faster here is no test's business, so the plain release's llama-bench is made to tell
of a fiftieth of its speed.
"""

import json

import pytest

from bramble import engine_lock
from tests.nodes.fleet import Fleet

pytestmark = pytest.mark.nodes

NODE = "vpi-147"
ROLES = ["base", "engine", "model", "serving"]
HOME = "/opt/bramble/engine"
PID = "systemctl show -p MainPID --value llama-server"
SLOW = """\
#!/usr/bin/python3
import json, subprocess, sys
done = subprocess.run([__file__ + ".real", *sys.argv[1:]], stdout=subprocess.PIPE, check=True)
print(json.dumps([row | {"avg_ts": row["avg_ts"] / 50} for row in json.loads(done.stdout)]))
"""


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A virtual Pi that serves with the plain release, whose llama-bench tells of too little."""
    virtual_pis.up(NODE, on_progress=print)
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    fleet.write([NODE], {NODE: {"node": {"roles": ROLES}}})
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    bench = f"{HOME}/current/bin/llama-bench"
    virtual_pis.said(NODE, f"sudo mv {bench} $(realpath {bench}).real")
    virtual_pis.said(NODE, f"sudo tee {bench} <<'END'\n{SLOW}END\nsudo chmod +x {bench}")
    return fleet


def test_a_board_that_is_held_back_decides_nothing(fleet, virtual_pis):
    told = "/usr/lib/virtual-pi/current/vcgencmd/get_throttled"
    virtual_pis.said(NODE, f"sudo cp {told} /root/told; echo throttled=0x4 | sudo tee {told}")
    done = fleet.bramble("engine", "race", NODE, "--variants", "rpc", "--rounds", "3")
    virtual_pis.said(NODE, f"sudo cp /root/told {told}")
    assert done.returncode == 1, done.stdout
    assert "the board was held back (throttled)" in done.stdout
    assert not (fleet.folder / engine_lock.FILE).exists()


def test_the_winner_is_locked_and_the_next_deploy_brings_it(fleet, virtual_pis):
    before = virtual_pis.said(NODE, f"readlink {HOME}/current; {PID}")
    done = fleet.bramble("engine", "race", NODE, "--variants", "rpc", "--rounds", "3", "--json")
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout[done.stdout.index("{\n") :])
    assert (told["winner"], told["soc"]) == ("rpc", "x86-64")
    assert [len(row["runs"]) for row in told["variants"]] == [3, 3]
    assert virtual_pis.said(NODE, f"readlink {HOME}/current; {PID}") == before
    assert engine_lock.read(fleet.folder).variants["x86-64"].variant == "rpc"

    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (rpc,) = (row["release"] for row in told["variants"] if row["variant"] == "rpc")
    assert virtual_pis.said(NODE, f"readlink {HOME}/current") == f"releases/{rpc}"
    assert virtual_pis.said(NODE, f"ls {HOME}/current/bin/ggml-rpc-server")
    assert "fail" not in fleet.statuses(NODE).values()
    again = fleet.pyinfra("node", "-y")
    assert again.returncode == 0, again.stdout
    assert fleet.events("end")[0]["changed"] == []
