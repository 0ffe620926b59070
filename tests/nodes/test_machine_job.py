"""The system's roles on a machine with a kernel of its own: their effects, and power cuts on the way.

The settings are those of vpm-1 in the shipped inventory.
"""

import contextlib
import queue
import random
import re
import shlex
import subprocess
import threading
import time

import pytest
import yaml

from bramble import registry, virtual
from bramble.virtual import paths
from tests.nodes.fleet import NO_LOG2RAM, NOT_WANTED, ROOT, Fleet, as_json

pytestmark = [pytest.mark.nodes, pytest.mark.machine]

NAME = "vpm-92"
SHIPPED = yaml.safe_load((ROOT / "inventory" / "fleet.yml").read_text())["hosts"]["vpm-1"]
ROLES = SHIPPED["node"]["roles"]
CUTS = 10
BACK_S = 300
CHECKS = [
    f"{role.name}.{check.name}"
    for role in registry.roles()
    for check in role.checks
    if role.name in ROLES
]
WATCHDOG_S = 60
OWN = {
    # As long as the default, a bite would take minutes to wait for.
    "watchdog": {"runtime_s": WATCHDOG_S},
    "base": {"hostname": "inventory", "timezone": "Europe/Vienna"},
}
SKIPPED = (
    *NOT_WANTED,
    *NO_LOG2RAM,
    "base.cloud_init_keeps_the_name",  # there is none
    "power.governor_is_in_force",
    "power.supply_is_rated_for_a_pi_5",  # it is a Pi 4
)
WELL = {name: "skip" if name in SKIPPED else "pass" for name in CHECKS}


@pytest.fixture(scope="module")
def pi(virtual_pis):
    """A fresh Pi 4; all tests here share it, in their order."""
    virtual_pis.up(NAME, board="pi4", kind="machine")
    yield virtual_pis
    virtual_pis.down(NAME)


@pytest.fixture
def root(pi):
    """The output of a script that must succeed as root."""
    return lambda script: pi.said(NAME, f"sudo sh -ec {shlex.quote(script)}")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    own = {key: value for key, value in SHIPPED.items() if key not in ("groups", "ssh")}
    fleet.write([NAME], {NAME: own | OWN})
    return fleet


@pytest.fixture(scope="module")
def provisioned(fleet, pi):
    """The first run's end, after the power was cut in ten of its steps, each time in another one."""
    steps = {entry["step"] for entry in plan_of(fleet)["steps"]}
    cut: list[str] = []
    moments = random.Random()
    while len(cut) < CUTS:
        step, moment = deploy_until(fleet, steps, cut, round(moments.uniform(0, 3), 1))
        assert step, f"the deploy ended before {CUTS} of its steps began: {cut}"
        pi.cut_power(NAME)
        print(f"power cut {moment} of {step!r}")
        cut.append(step)
        virtual.up([NAME], board="pi4", kind="machine")
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    return fleet.statuses(NAME)


def plan_of(fleet):
    done = fleet.bramble("plan", NAME, "--json")
    assert done.returncode == 0, done.stdout
    (plan,) = as_json(done)["plans"]
    return plan


def deploy_until(fleet, steps, cut, delay_s):
    """Deploys until a step not cut before has run for this long or is over; the step, and the moment.

    The laptop's side ends then too. Never waiting longer than the step leaves the steps after it to
    be cut, however fast this computer is.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    with fleet.start_pyinfra("node", "-y", stdout=subprocess.PIPE) as process:
        reader = threading.Thread(target=hand_on, args=(process.stdout, lines))
        reader.start()
        step = next((s for s in map(begun, iter(lines.get, None)) if s in steps - set(cut)), None)
        end = time.monotonic() + delay_s
        moment = f"{delay_s} s after the start"
        while step and (left_s := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=left_s)
                if line is None or begun(line) in steps - {step}:
                    moment = "at the end"
                    break
        process.kill()
        reader.join()
    return step, moment


def hand_on(lines, waiting):
    """Each line as it comes, then None."""
    for line in lines:
        waiting.put(line)
    waiting.put(None)


def begun(line):
    """The step that a line of a deploy's output says has begun."""
    told = re.match(rf"\s*\[{NAME}\] ([^:]+): ", line)
    return told[1] if told else None


def test_after_ten_power_cuts_the_next_run_converges(provisioned):
    assert provisioned == WELL


def test_the_second_run_changes_nothing(provisioned, fleet):
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    (end,) = fleet.events("end")
    assert (end["changed"], end["failed"]) == ([], [])


def test_zram_and_the_swap_file_are_swap_in_this_order(provisioned, root):
    rows = [line.split() for line in root("cat /proc/swaps").splitlines()[1:]]
    zram, file = sorted(rows, key=lambda row: -int(row[4]))
    assert (zram[0], zram[1]) == ("/dev/zram0", "partition")
    assert (file[0].startswith("/mnt/ssd/"), file[1]) == (True, "file")
    assert int(file[2]) >= 2 * 1024 * 1024 - 64
    assert int(zram[4]) > int(file[4])


def test_the_ssd_is_mounted_by_uuid_with_noatime_and_nofail(provisioned, root):
    (line,) = [entry for entry in root("cat /etc/fstab").splitlines() if "/mnt/ssd" in entry]
    source, target, _, options = line.split()[:4]
    assert (source[:5], target) == ("UUID=", "/mnt/ssd")
    assert {"noatime", "nofail"} <= set(options.split(","))
    assert root("findmnt -no SOURCE /mnt/ssd").startswith("/dev/sd")
    assert "noatime" in root("findmnt -no OPTIONS /mnt/ssd")


def test_the_kernel_enforces_memory_limits_and_tells_pressure(provisioned, root):
    assert "memory" in root("cat /sys/fs/cgroup/cgroup.controllers").split()
    assert "some avg10" in root("cat /proc/pressure/memory")


def test_all_of_it_survives_a_reboot(provisioned, fleet, pi):
    pi.reboot(NAME, deadline_s=BACK_S)
    pi.said(NAME, "systemctl is-system-running --wait")
    assert verified(fleet) == WELL


def test_a_hung_kernel_is_reset_by_the_armed_watchdog(provisioned, fleet, pi, root):
    watchdog = "/sys/class/watchdog/watchdog0"
    assert root(f"cat {watchdog}/state {watchdog}/timeout").split() == ["active", str(WATCHDOG_S)]
    before = pi.boot_id(NAME)
    # In the background: the connection would hang with the kernel.
    root("sysctl -q kernel.panic=0; (sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &")
    pi.wait_for_another_boot(NAME, before, deadline_s=BACK_S)
    log = (paths.node_dir(NAME) / "console.log").read_text(errors="replace")
    assert f"{NAME} was reset by its watchdog" in log
    pi.said(NAME, "systemctl is-system-running --wait")
    assert verified(fleet) == WELL


def test_every_role_is_taken_back_and_brought_again_to_a_boot_with_less_memory(
    provisioned, fleet, root
):
    root("mkdir -p /mnt/ssd/mine; echo kept > /mnt/ssd/mine/file")
    for role in reversed(ROLES):
        done = fleet.bramble("revert", role, NAME)
        assert done.returncode == 0, done.stdout
        again = fleet.bramble("revert", role, NAME)
        assert f"{NAME}: nothing to revert" in again.stdout, again.stdout
    assert "/mnt/ssd" not in root("cat /proc/swaps; cat /etc/fstab; cat /proc/mounts")
    assert "zram" not in root("cat /proc/swaps")
    assert "cgroup_enable=memory" not in root("cat /boot/firmware/cmdline.txt")
    assert root("find /etc -newer /etc/hostname -name '*bramble*' | sort") == ""
    # In force at the reboot in the middle of the deploy, after zram was set up for all of the memory.
    root("sed -i 's/$/ mem=1400M/' /boot/firmware/cmdline.txt")
    done = fleet.pyinfra("node", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NAME) == WELL
    memory_kib = int(root("awk '/MemTotal/ {print $2}' /proc/meminfo"))
    assert memory_kib < 1400 * 1024
    assert int(root("cat /sys/block/zram0/disksize")) < 0.6 * memory_kib * 1024
    assert root("cat /mnt/ssd/mine/file") == "kept"


def verified(fleet):
    """The results of `bramble verify` by check."""
    _, results = fleet.verify()
    return {check: entry["status"] for (_, check), entry in results.items()}
