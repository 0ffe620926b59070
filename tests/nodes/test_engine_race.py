"""Variants of llama.cpp raced on a virtual Pi, and the node benchmarked with the winner.

Which variant is faster here is no test's business, so the plain release's llama-bench is made to tell
of a fiftieth of its speed.
"""

import json
import shlex
from contextlib import contextmanager

import pytest

from bramble.bench import result
from bramble.llama import lock as engine_lock
from tests.nodes.fleet import Fleet, as_json, wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.thorough]

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
# The release says that it was built so: a damaged one would be built once more.
NOTED = """\
import hashlib, json, os, sys
bench = sys.argv[1]
path = os.path.join(os.path.dirname(os.path.dirname(bench)), "manifest.json")
manifest = json.load(open(path))
for name in (bench, bench + ".real"):
    manifest["binaries"][os.path.basename(name)] = hashlib.sha256(open(name, "rb").read()).hexdigest()
json.dump(manifest, open(path, "w"))
"""


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A virtual Pi that serves with the plain release, whose llama-bench reports too little."""
    virtual_pis.up(NODE, on_progress=print)
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    fleet.write([NODE], {NODE: {"node": {"roles": ROLES}}})
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    bench = virtual_pis.said(NODE, f"realpath {HOME}/current/bin/llama-bench")
    virtual_pis.said(NODE, f"sudo mv {bench} {bench}.real")
    virtual_pis.said(NODE, f"sudo tee {bench} <<'END'\n{SLOW}END\nsudo chmod +x {bench}")
    virtual_pis.said(NODE, f"sudo python3 - {bench} <<'END'\n{NOTED}END")
    return fleet


@contextmanager
def reported(virtual_pis, word, text):
    """The board says this of itself meanwhile."""
    file = f"/usr/lib/virtual-pi/current/vcgencmd/{word}"
    virtual_pis.said(NODE, f"sudo cp {file} /root/told; echo {shlex.quote(text)} | sudo tee {file}")
    try:
        yield
    finally:
        virtual_pis.said(NODE, f"sudo cp /root/told {file}")


def test_a_board_that_is_held_back_decides_nothing(fleet, virtual_pis):
    with reported(virtual_pis, "get_throttled", "throttled=0x4"):
        done = fleet.bramble(
            "engine", "race", NODE, "--variants", "rpc", "--rounds", "3", "--cool", "2"
        )
    assert done.returncode == 1, done.stdout
    assert "the board was held back (throttled)" in done.stdout
    assert not (fleet.folder / engine_lock.FILE).exists()


def test_the_winner_is_locked_and_the_next_deploy_brings_it(fleet, virtual_pis):
    before = virtual_pis.said(NODE, f"readlink {HOME}/current; {PID}")
    done = fleet.bramble("engine", "race", NODE, "--variants", "rpc", "--rounds", "3", "--json")
    assert done.returncode == 0, done.stdout
    raced = as_json(done)
    assert (raced["winner"], raced["soc"]) == ("rpc", "x86-64")
    assert [len(row["runs"]) for row in raced["variants"]] == [3, 3]
    assert virtual_pis.said(NODE, f"readlink {HOME}/current; {PID}") == before
    assert engine_lock.read(fleet.folder).variants["x86-64"].variant == "rpc"

    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (rpc,) = (row["release"] for row in raced["variants"] if row["variant"] == "rpc")
    assert virtual_pis.said(NODE, f"readlink {HOME}/current") == f"releases/{rpc}"
    assert virtual_pis.said(NODE, f"ls {HOME}/current/bin/ggml-rpc-server")
    assert "fail" not in fleet.statuses(NODE).values()
    again = fleet.pyinfra("node", "-y")
    assert again.returncode == 0, again.stdout
    assert fleet.events("end")[0]["changed"] == []


def test_a_benchmark_notes_what_holds_the_node_back_and_the_server_serves_on(fleet, virtual_pis):
    before = virtual_pis.said(NODE, PID)
    with reported(virtual_pis, "get_throttled", "throttled=0x8"):
        done = fleet.bramble("bench", NODE, "--rounds", "2", "--cool", "2", "--json")
    assert done.returncode == 0, done.stdout
    (host,) = as_json(done)["hosts"]
    (kept,) = result.kept(fleet.folder, NODE)
    assert [run.held_back for run in kept.runs] == [("soft temperature limit",)] * 2
    assert (host["result"]["at"], host["claim"]["verdict"]) == (kept.at, "unbounded")
    assert {c["name"]: c["state"] for c in host["causes"]}["throttled"] == "found"
    assert kept.release.lacks == ()
    assert (kept.seen.desktop, kept.seen.server_swap_mib is not None) == (False, True)
    assert virtual_pis.said(NODE, f"{PID}; ls /run/bramble/bench-* 2>/dev/null || true") == before


def test_a_benchmark_goes_on_without_its_computer_and_is_taken_up(fleet, virtual_pis):
    before = virtual_pis.said(NODE, PID)
    left = "cat /run/bramble/bench-*.json 2>/dev/null || true"
    running = "systemctl list-units --plain --no-legend 'bramble-llama-bench-*'"
    with reported(virtual_pis, "measure_temp", "temp=70.0'C"):  # it waits until the board is cool
        process = fleet.start_pyinfra("bench", "-y", "--data", "rounds=3", "--limit", NODE)
        wait_until(lambda: virtual_pis.said(NODE, running), 120, "the benchmark's unit")
        process.kill()
        process.wait()
    wait_until(lambda: '"whole": true' in virtual_pis.said(NODE, left), 120, "the last run")
    made = json.loads(virtual_pis.said(NODE, left))["runs"]
    done = fleet.bramble("bench", NODE, "--rounds", "3")
    assert done.returncode == 0, done.stdout
    assert "an earlier run's figures, which were not fetched, are taken up" in done.stdout
    newest = next(iter(result.kept(fleet.folder, NODE)))
    assert [run.answer_tps for run in newest.runs] == [run["answer_tps"] for run in made]
    # The benchmark before was held back in all of its runs.
    assert "the board was held back in every run of" in done.stdout
    assert virtual_pis.said(NODE, PID) == before
