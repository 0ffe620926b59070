"""The whole main job on an emulated Pi 4 of Trixie, and what becomes there of rpi-swap's swap."""

import shlex

import pytest

from bramble.virtual import source
from tests.nodes.fleet import wait_until
from tests.nodes.machines import BACK_S, BOARD, OWN, Crossed

pytestmark = [pytest.mark.nodes, pytest.mark.machine, pytest.mark.thorough, pytest.mark.trixie]

NAME = "vpm-94"
SSD = "/mnt/ssd/"
CARD = "/var/swap"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    source.fetch(print)
    fleet = Crossed(tmp_path_factory.mktemp("fleet"), machine=NAME)
    fleet.name()
    fleet.build("cortex-a72", "trixie")
    return fleet


@pytest.fixture(scope="module")
def pi(virtual_pis):
    virtual_pis.up(NAME, **BOARD, release="trixie")
    yield virtual_pis
    virtual_pis.down(NAME)


@pytest.fixture(scope="module")
def root(pi):
    """The output of a script that must succeed as root."""
    return lambda script: pi.said(NAME, f"sudo sh -ec {shlex.quote(script)}")


def swaps(root):
    """What is swap by its path, and its size in MiB and priority."""
    rows = [line.split() for line in root("cat /proc/swaps").splitlines()[1:]]
    return {row[0]: (int(row[2]) // 1024, int(row[4])) for row in rows}


def writes_back_to(root):
    return root("cat /sys/block/zram0/backing_dev")


def deploy(fleet, **memory):
    fleet.write([NAME], {NAME: OWN | {"engine": {"recipe": "cross"}, "memory": memory}})
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NAME) == fleet.well


def is_up(pi):
    """Whether all of a boot is over and well; sshd may be started once more meanwhile."""
    return pi.run(NAME, "systemctl is-system-running --wait", BACK_S).stdout.strip() == "running"


def settled_after_a_boot(fleet, pi):
    pi.reboot(NAME, BACK_S)
    wait_until(lambda: is_up(pi), BACK_S, "the end of the boot")
    _, results = fleet.verify(NAME)
    assert {check: entry["status"] for (_, check), entry in results.items()} == fleet.well
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (end,) = fleet.events("end")
    assert (end["changed"], end["failed"]) == ([], [])


def test_a_fresh_one_has_the_kernel_of_trixie_and_rpi_swaps_zram_with_a_file_behind_it(pi, root):
    assert pi.said(NAME, "systemctl is-system-running --wait") == "running"
    assert root("uname -r").startswith("6.12.")
    assert root(". /etc/os-release; echo $VERSION_CODENAME") == "trixie"
    assert {path: priority for path, (_, priority) in swaps(root).items()} == {"/dev/zram0": 100}
    assert writes_back_to(root).startswith("/dev/loop")
    assert root(f"losetup --noheadings --output BACK-FILE {writes_back_to(root)}") == CARD


def test_the_whole_job_puts_our_swap_in_the_place_of_rpi_swaps(fleet, pi, root):
    deploy(fleet)
    settled_after_a_boot(fleet, pi)
    (zram, ours), (file, on_ssd) = sorted(swaps(root).items(), key=lambda row: -row[1][1])
    assert zram == "/dev/zram0"
    assert (file.startswith(SSD), on_ssd[0] >= 2047, ours[1] > on_ssd[1]) == (True, True, True)
    assert writes_back_to(root) == "none"
    assert root(f"ls {CARD} 2>/dev/null || true") == ""
    assert root("losetup --noheadings --list") == ""


def test_with_its_zram_kept_it_writes_nothing_back_and_the_file_on_the_card_is_gone(
    fleet, pi, root
):
    deploy(fleet, rpi_swap="zram")
    settled_after_a_boot(fleet, pi)
    assert sorted(path[: len(SSD)] for path in swaps(root)) == ["/dev/zram", SSD]
    assert "rpi-swap" in root("systemctl show --value -p Description dev-zram0.swap")
    assert writes_back_to(root) == "none"
    assert root(f"ls {CARD} 2>/dev/null || true") == ""


def test_left_alone_it_writes_back_to_the_card_which_is_never_counted_as_swap_on_the_ssd(
    fleet, pi, root
):
    deploy(fleet, rpi_swap="leave")
    settled_after_a_boot(fleet, pi)
    assert writes_back_to(root).startswith("/dev/loop")
    assert CARD not in swaps(root)
    (ours,) = [path for path in swaps(root) if path.startswith(SSD)]
    root(f"swapoff {ours}")
    code, results = fleet.verify(NAME)
    assert (code, results[NAME, "memory.ssd_has_two_gb_of_swap"]["status"]) == (1, "warn")
    deploy(fleet, rpi_swap="leave")


def test_taken_back_rpi_swap_makes_its_own_again(fleet, pi, root):
    done = fleet.bramble("revert", "memory", NAME)
    assert done.returncode == 0, done.stdout
    pi.reboot(NAME, BACK_S)
    wait_until(lambda: is_up(pi), BACK_S, "the end of the boot")
    assert list(swaps(root)) == ["/dev/zram0"]
    assert writes_back_to(root).startswith("/dev/loop")
    deploy(fleet)
