"""The whole main job on an emulated Pi 4, with llama.cpp built once on this computer.

The store lies in virtual Pis' cache and lasts: a release's name stands for its source, options and
processor, so what is there is what would be built. With an empty cache the build is ten minutes of
one processor.
"""

import json
import platform
import re
import tarfile

import pytest

from bramble import registry
from bramble.llama import store
from bramble.virtual import paths, source
from tests.nodes.fleet import NOT_NAMED, NOT_WANTED, Fleet

pytestmark = [pytest.mark.nodes, pytest.mark.machine]

NAME = "vpm-93"
ROLES = ["base", "boot", "power", "engine", "model", "serving"]
CHECKS = [
    f"{role.name}.{check.name}"
    for role in registry.roles()
    for check in role.checks
    if role.name in ROLES
]
SKIPPED = (
    *NOT_WANTED,
    *NOT_NAMED,
    "power.governor_is_in_force",  # a machine's kernel scales no clock
    "power.supply_is_rated_for_a_pi_5",
)


class Crossed(Fleet):
    """A fleet whose store lasts."""

    @property
    def store(self):
        return paths.cache_dir() / "engine"

    def name(self, **engine):
        """The machine in the inventory, with these settings of its engine too."""
        own = {"engine": {"recipe": "cross", **engine}, "node": {"roles": ROLES}}
        self.write([NAME], {NAME: own})

    def build(self, soc):
        """What `bramble engine build` says of a processor's release, from the store or built now."""
        done = self.bramble("engine", "build", "--soc", soc, NAME, "--json")
        assert done.returncode == 0, done.stdout
        (entry,) = json.loads(done.stdout[done.stdout.index("{\n") :])["releases"]
        return entry


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    source.fetch(print)
    fleet = Crossed(tmp_path_factory.mktemp("fleet"))
    fleet.name()
    return fleet


@pytest.fixture(scope="module")
def built(fleet):
    return fleet.build("cortex-a72")


@pytest.fixture(scope="module")
def provisioned(fleet, built, virtual_pis):
    """What the first deploy said on a fresh machine."""
    virtual_pis.up(NAME, board="pi4", kind="machine")
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NAME) == {name: "skip" if name in SKIPPED else "pass" for name in CHECKS}
    yield done.stdout
    virtual_pis.down(NAME)


def test_a_build_is_what_its_processor_wants(built):
    manifest = built["manifest"]
    assert (manifest["soc"], manifest["recipe"]) == ("cortex-a72", "cross")
    assert "-march=armv8-a+crc -mtune=cortex-a72" in manifest["compiled_in"]["cpu_flags"]
    if platform.machine() == "x86_64":
        assert manifest["compiler"].startswith("aarch64-linux-gnu-g++")


def test_what_is_stored_is_not_built_again(fleet, built):
    assert fleet.build("cortex-a72") == built


def test_a_machine_is_provisioned_without_a_compile_and_answers(fleet, provisioned, virtual_pis):
    assert f"[{NAME}] sending release" in provisioned
    assert "compiling" not in provisioned
    assert virtual_pis.run(NAME, "command -v g++ || command -v cmake").returncode != 0
    assert "0xd08" in virtual_pis.said(NAME, "grep part /proc/cpuinfo")
    asked = fleet.bramble("ask", "--host", NAME, "What is 2+2?")
    assert (asked.returncode, asked.stdout.splitlines()[-1:]) == (0, ["4"])


def test_a_second_run_changes_nothing(fleet, provisioned):
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.events("end")[0]["changed"] == []


def test_a_release_for_another_processor_is_refused_and_the_old_one_serves(
    fleet, provisioned, virtual_pis, tmp_path, monkeypatch
):
    """A Cortex-A76's programs under the name that the Pi 4 asks for: they start, and cannot compute."""
    monkeypatch.setenv(store.VARIABLE, str(fleet.store))
    before = virtual_pis.said(NAME, "readlink /opt/bramble/engine/current")
    wrong = fleet.build("cortex-a76")
    fleet.name(build_number=7)
    planned = fleet.bramble("plan", NAME).stdout
    release = re.search(r"release (\w{12}) is not there", planned)[1]
    with tarfile.open(wrong["path"]) as archive:
        archive.extractall(tmp_path, filter="data")
    manifest = wrong["manifest"] | {"release": release}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    store.add(tmp_path)
    try:
        done = fleet.pyinfra("node", "-y")
    finally:
        store.remove(release)
        fleet.name()
    assert done.returncode == 1
    assert "llama-bench ended with SIGILL: it was compiled for another processor" in done.stdout
    assert virtual_pis.said(NAME, "readlink /opt/bramble/engine/current") == before
    code, results = fleet.verify()
    assert (code, results[NAME, "serving.model_answers"]["status"]) == (0, "pass")
