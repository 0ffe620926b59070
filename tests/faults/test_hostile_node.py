"""A run with compromised nodes in it: they harm neither this computer nor what is done for others."""

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import bramble
from bramble import report
from tests.deploys.ssh_double import write_inventory
from tests.faults.hostile import KINDS, Server

pytestmark = pytest.mark.untrusted
ROOT = Path(bramble.__file__).parents[1]
# Ends a hang; what is sent without an end is bounded by its size.
DEADLINE_S = 900
MEMORY_BYTES = 3 << 30
HEALTHY = "healthy"
MODEL = {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}
TOLD = {
    "nests deeply": "it is nested too deeply",
    "nests objects": "it is nested too deeply",
    "sends many values": "it holds more than 500000 values",
    "sends a long number": "its answer to the look cannot be read: Exceeds the limit",
    "sends no number": "its answer to the look cannot be read: (NaN|Infinity) is no number",
    "sends keys twice": "could not read the node's system",
    "sends bytes that are no text": "its answer to the look cannot be read",
    "sends half a pair": r"could not be looked at: \?+\[2J",
    "sends nothing": "its answer to the look cannot be read",
    "never ends its lines": "it printed more than 100000 lines",
    "never ends its line": "it printed more than 32 MiB",
    "fails with controls": r"\?\]0;title\?\?\[2J",
}
OURS = re.compile(r"\x1b\[(?:0|1|3[1-7])m")


def name_of(kind):
    return kind.replace(" ", "-")


def run(folder, deploy, *options):
    """pyinfra on the inventory in `folder`, with bounded memory: its code, its words, its events."""
    file = folder.parent / "report.jsonl"
    variables = {"BRAMBLE_INVENTORY": folder, "BRAMBLE_STORE": folder.parent / "store"}
    done = subprocess.run(
        [sys.executable, "-m", "pyinfra", "inventory.py", deploy, "-y", *options],
        cwd=ROOT,
        env={**os.environ, **{k: str(v) for k, v in variables.items()}, report.VARIABLE: str(file)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stdout.decode(), file.read_text().splitlines()


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    servers = [Server(kind) for kind in (HEALTHY, *KINDS)]
    folder = tmp_path_factory.mktemp("hostile") / "inventory"
    write_inventory(folder, servers, {"model": MODEL})
    yield run(folder, "deploys/verify.py")
    for server in servers:
        server.close()


def events(verified):
    return [json.loads(line) for line in verified[2]]


def test_the_healthy_host_is_checked_and_the_run_ends(verified):
    code, said, _ = verified
    found = events(verified)
    assert HEALTHY in {entry["host"] for entry in found if entry["event"] == "result"}, said
    assert found[-1]["event"] == "end"
    assert found[-1]["complete"]
    assert code == 1


@pytest.mark.parametrize("kind", TOLD)
def test_each_is_told_of_its_own_host(verified, kind):
    _, said, _ = verified
    lines = re.findall(rf"^.*\[{name_of(kind)}\] (.*)$", said, re.MULTILINE)
    assert any(re.search(TOLD[kind], line) for line in lines), said
    assert name_of(kind) in events(verified)[-1]["failed"]


def test_nothing_of_what_it_says_controls_the_terminal(verified):
    _, said, _ = verified
    assert "?]0;title??[2J" in said
    left = OURS.sub("", said).replace("\n", "").replace("\t", "")
    assert {c for c in left if not c.isprintable()} == set()


def test_nothing_of_what_it_says_controls_who_reads_the_report(verified):
    texts = [text for entry in events(verified) for text in texts_of(entry)]
    assert any("?]0;title??[2J" in text for text in texts)
    assert {c for text in texts for c in text if not c.isprintable()} <= {"\n", "\t"}
    assert "says-controls" in {entry["host"] for entry in events(verified) if "check" in entry}


def texts_of(value):
    """All texts in a JSON value, the names in it too."""
    if isinstance(value, str):
        yield value
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    for one in inner if isinstance(inner, list) else ():
        yield from texts_of(one)


def test_bramble_knows_all_of_it(verified):
    _, said, _ = verified
    assert "Traceback" not in said
    assert "bramble met something" not in said


UNKNOWN = """
from pyinfra.context import host

from bramble.deploys import verify
from bramble.pyinfra.session import in_words


@in_words
def strange():
    if host.name == "sends-nothing":
        raise ZeroDivisionError("of a kind that nobody thought of")


strange()
verify()
"""


@pytest.mark.fault("F27")
def test_what_bramble_does_not_know_ends_no_other_hosts_run(tmp_path):
    (tmp_path / "own.py").write_text(UNKNOWN)
    servers = [Server(HEALTHY), Server("sends nothing")]
    write_inventory(tmp_path / "inventory", servers, {"model": MODEL})
    code, said, lines = run(tmp_path / "inventory", str(tmp_path / "own.py"))
    for server in servers:
        server.close()
    found = [json.loads(line) for line in lines]
    assert HEALTHY in {entry["host"] for entry in found if entry["event"] == "result"}, said
    assert "bramble met something that it does not know (ZeroDivisionError: of a kind" in said
    assert code == 1
