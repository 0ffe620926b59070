"""Nodes that change Debian release: a card flashed anew under its old name, an upgrade in place."""

import pytest

from bramble.virtual import paths, releases, source
from bramble.virtual.model import GATEWAY, address_of
from tests.nodes.fleet import ROOT, SKIPPED, Fleet
from tests.unit.remote.scripted_server import serving

pytestmark = [pytest.mark.nodes, pytest.mark.thorough, pytest.mark.trixie]

STAYS, FLASHED, UPGRADED = NODES = ("vpi-71", "vpi-72", "vpi-73")
MODEL = ROOT / "models" / "bramble-demo-q8_0.gguf"
SHA256 = "0d057dbca1d02b5b5b4836d4c0db05a9b41371b7139497399acfda1a59dd323c"
CURRENT = "/opt/bramble/engine/current"
UPGRADE_S = 3000
(TRIXIE,) = releases.more("trixie")
DOUBLE = "etc/systemd/system-generators/virtual-pi-devices"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold"


class Own(Fleet):
    """A fleet whose known_hosts is its own, as a person's is, and whose model is at an address."""

    @property
    def known_hosts(self):
        return self.folder / "known_hosts"

    def wants(self, url):
        model = {"url": url, "path": None, "name": "demo"}
        own = {"model": model, "ssh": {"known_hosts": str(self.known_hosts)}}
        hosts = {name: own | {"ssh": own["ssh"] | {"address": address_of(name)}} for name in NODES}
        self.write(NODES, hosts)

    def planned(self, name):
        done = self.bramble("plan", name)
        return done.returncode, done.stdout

    def sources(self):
        """Each host of the last run with whom it got the model from."""
        return {event["host"]: event["source"] for event in self.events("fetch")}


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """Three nodes of Bookworm that serve."""
    source.fetch(print)
    virtual_pis.up(*NODES)
    fleet = Own(tmp_path_factory.mktemp("fleet"))
    fleet.known_hosts.write_text(paths.known_hosts_path().read_text(encoding="utf-8"))
    with serving(MODEL.read_bytes(), GATEWAY) as origin:
        fleet.wants(origin.url)
        done = fleet.bramble("up")
        assert done.returncode == 0, done.stdout
        yield fleet
    virtual_pis.down(*NODES)


@pytest.fixture
def root(virtual_pis):
    """The output of a script that must succeed as root on a node."""

    def run(name, script, timeout_s=120):
        done = virtual_pis.run(name, f"sudo sh -ec '{script}'", timeout_s)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout.strip()

    return run


def well_and_settled(fleet, name):
    """All that a container can show is right, and another run changes nothing."""
    code, results = fleet.verify(name)
    assert {check for (_, check), entry in results.items() if entry["status"] == "skip"} == {
        *SKIPPED
    }
    assert code == 0
    done = fleet.bramble("up", name)
    assert (done.returncode, "no changes" in done.stdout) == (0, True), done.stdout


def test_a_card_flashed_anew_is_trusted_by_its_new_key_and_gets_engine_and_model(
    fleet, virtual_pis, root
):
    before = root(FLASHED, f"readlink {CURRENT}")
    virtual_pis.up(FLASHED, release="trixie")
    code, words = fleet.planned(FLASHED)
    assert code == 1
    assert f"bramble trust {FLASHED} --replace" in words
    key = root(FLASHED, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    trusted = fleet.bramble("trust", FLASHED, "--replace", "--fingerprint", key)
    assert trusted.returncode == 0, trusted.stdout
    code, words = fleet.planned(FLASHED)
    assert (code, "Install llama.cpp: release" in words) == (0, True), words
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("] compiling ") == 1
    assert fleet.sources()[FLASHED] in {STAYS, UPGRADED}
    assert fleet.events("end")[0]["changed"] == [FLASHED]
    assert root(FLASHED, f"readlink {CURRENT}") != before
    well_and_settled(fleet, FLASHED)


def test_one_upgraded_in_place_says_what_will_change_and_gets_the_engine_of_its_release(
    fleet, root
):
    old = root(UPGRADED, f"readlink {CURRENT}").rpartition("/")[2]
    double = (TRIXIE / "files" / DOUBLE).read_text(encoding="utf-8").replace("'", "'\\''")
    root(UPGRADED, f"cat >/{DOUBLE} <<\\END\n{double}END\nchmod 755 /{DOUBLE}")
    root(UPGRADED, "sed -i s/bookworm/trixie/g /etc/apt/sources.list")
    root(UPGRADED, f"{APT} update && {APT} full-upgrade && {APT} autoremove", UPGRADE_S)
    code, words = fleet.planned(UPGRADED)
    assert code == 0, words
    assert f"; {old}, which is current, was built for bookworm, and this is trixie" in words
    done = fleet.bramble("up", UPGRADED)
    assert done.returncode == 0, done.stdout
    assert ": compiling " not in done.stdout
    new = root(UPGRADED, f"readlink {CURRENT}")
    assert new == root(FLASHED, f"readlink {CURRENT}")
    well_and_settled(fleet, UPGRADED)
