"""KleidiAI is really compiled for the Cortex-A72 and the Cortex-A76, and run as on each.

Its source is at hand on few computers: BRAMBLE_KLEIDIAI_ARCHIVE names an archive of it.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bramble.llama import store
from bramble.remote import switch_engine
from bramble.virtual import source
from tests.nodes.fleet import Lasting

VARIABLE = "BRAMBLE_KLEIDIAI_ARCHIVE"
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")

pytestmark = [
    pytest.mark.nodes,
    pytest.mark.skipif(
        VARIABLE not in os.environ, reason=f"{VARIABLE} names no archive of KleidiAI's source"
    ),
    pytest.mark.skipif(QEMU is None, reason="no qemu-aarch64 runs Arm's programs here"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The manifests and unpacked folders of both processors' releases."""
    source.fetch(print)
    folder = tmp_path_factory.mktemp("fleet")
    fleet = Lasting(folder)
    archive = Path(os.environ[VARIABLE])
    pin = {"path": str(archive), "sha256": store.sha256(archive)}
    kleidiai = {"recipe": "cross", "variant": "kleidiai", "kleidiai": {"archive": pin}}
    fleet.write(["vpi-149"], {"vpi-149": {"engine": {**kleidiai, "force": True}}})
    done = fleet.bramble("engine", "build", "--json")
    assert done.returncode == 0, done.stdout
    found = {}
    for entry in json.loads(done.stdout[done.stdout.index("{\n") :])["releases"]:
        into = folder / entry["release"]
        shutil.unpack_archive(entry["path"], into, filter="data")
        found[entry["manifest"]["soc"]] = entry["manifest"], into
    return found


def emulated(release, soc, monkeypatch):
    """The smoke test that nodes make, of a release on an emulated processor."""
    real = subprocess.run

    def run(argv, **options):
        return real([QEMU, "-cpu", soc, "-L", "/usr/aarch64-linux-gnu", *argv], **options)

    monkeypatch.setattr(subprocess, "run", run)
    problem, said = switch_engine.smoke(str(release))
    assert problem is None
    return switch_engine.read_back(str(release), said), said


@pytest.mark.parametrize("soc", ["cortex-a72", "cortex-a76"])
def test_the_build_has_kleidiais_kernels_and_says_so(built, soc):
    manifest, _ = built[soc]
    assert manifest["variant"] == "kleidiai"
    assert manifest["compiled_in"]["kleidiai_kernels"] > 0
    assert manifest["compiled_in"]["system_info"]["KLEIDIAI"] == "1"


def test_a_cortex_a76_computes_with_them(built, monkeypatch):
    record, _ = emulated(built["cortex-a76"][1], "cortex-a76", monkeypatch)
    assert record["kleidiai"] == {"q4": "DOTPROD", "q8": "DOTPROD"}
    assert "CPU_KLEIDIAI" in record["buffers"]


def test_on_a_cortex_a72_none_of_them_runs(built, monkeypatch):
    """What `force` builds there is a no-op: compiled in, and not one kernel selected."""
    record, said = emulated(built["cortex-a72"][1], "cortex-a72", monkeypatch)
    assert record["system_info"]["KLEIDIAI"] == "1"
    assert record["kleidiai"] == {}
    assert "no compatible q4 kernels found" in said
    assert "CPU_KLEIDIAI" not in record["buffers"]
