"""The role boot on virtual Pis: what is told at boot is in force after one reboot, and only one."""

import re
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.nodes.fleet import NOT_EXPOSED, ONE_MODEL, SKIPPED, Fleet

pytestmark = pytest.mark.nodes

NODE, OLD, OTHER = "vpi-131", "vpi-132", "vpi-133"
OF_THE_SYSTEM = [check for check in SKIPPED if check not in (*NOT_EXPOSED, *ONE_MODEL)]
# The configuration that this test sets is the one skipped check of the main job that is none here.
IN_A_CONTAINER = dict.fromkeys(OF_THE_SYSTEM, "skip") | {
    "boot.config_txt_has_the_planned_values": "pass"
}
CONFIG = {"arm_freq": "2000", "dtparam=pciex1_gen": "3"}


@pytest.fixture
def on(virtual_pis):
    """A command on a node as root: on(name, command) is what it printed."""
    return lambda name, command: virtual_pis.said(name, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A fresh virtual Pi, brought to its plan by the real deploy of the system roles."""
    virtual_pis.up(NODE)
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    fleet.before = virtual_pis.boot_id(NODE)
    fleet.decoys = virtual_pis.said(NODE, "sha256sum /boot/config.txt /boot/cmdline.txt")
    fleet.write([NODE], {NODE: {"boot": {"config": CONFIG}}})
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 0, done.stdout
    fleet.output = done.stdout
    fleet.first = fleet.statuses(NODE)
    fleet.steps = [event["step"] for event in fleet.events("step")]
    return fleet


def test_a_fresh_node_reboots_once_and_goes_on(fleet, virtual_pis):
    first = fleet.steps.index("Set the kernel's parameters")
    assert fleet.steps[first : first + 3] == [
        "Set the kernel's parameters",
        "Set the firmware's options",
        "Reboot",
    ]
    assert fleet.steps.count("Reboot") == 1
    assert f"[{NODE}] rebooted in" in fleet.output
    assert virtual_pis.boot_id(NODE) != fleet.before


def test_every_check_passes_or_says_that_this_kernel_is_the_hosts(fleet):
    assert {check: fleet.first[check] for check in OF_THE_SYSTEM} == IN_A_CONTAINER
    assert {c for c, s in fleet.first.items() if s != "pass"} < set(OF_THE_SYSTEM)
    assert fleet.first["boot.kernel_has_its_parameters"] == "pass"
    assert fleet.first["boot.config_txt_has_the_planned_values"] == "pass"


def test_the_kernel_was_given_the_parameters_after_what_they_undo(fleet, on):
    tokens = on(NODE, "cat /proc/cmdline").split()
    assert tokens.index("cgroup_enable=memory") > tokens.index("cgroup_disable=memory")
    assert "psi=1" in tokens


def test_the_files_are_edited_in_place_with_what_was_there_beside_them(fleet, on):
    line = on(NODE, "cat /boot/firmware/cmdline.txt")
    assert line.endswith("rootwait cgroup_enable=memory psi=1")
    assert "\n" not in line
    assert on(NODE, "cat /boot/firmware/cmdline.txt.bak").endswith("rootwait")
    config = on(NODE, "cat /boot/firmware/config.txt")
    before = on(NODE, "cat /boot/firmware/config.txt.bak")
    assert config.startswith(before)
    assert "[all]\narm_freq=2000\ndtoverlay=\ndtparam=pciex1_gen=3" in config.removeprefix(before)


def test_the_decoys_are_not_touched(fleet, virtual_pis):
    assert virtual_pis.said(NODE, "sha256sum /boot/config.txt /boot/cmdline.txt") == fleet.decoys


def test_a_second_run_changes_nothing_and_needs_few_remote_commands(fleet, virtual_pis, tmp_path):
    before = virtual_pis.boot_id(NODE)
    count = tmp_path / "count"
    script = Path(__file__).with_name("counted_pyinfra.py")
    done = fleet.run(
        [sys.executable, script, "inventory.py", "deploys/system.py", "-y"],
        BRAMBLE_COUNT=str(count),
    )
    assert done.returncode == 0, done.stdout
    assert fleet.events("end")[0]["changed"] == []
    assert virtual_pis.boot_id(NODE) == before
    counted = Counter(tuple(line.split()) for line in count.read_text().splitlines())
    assert counted[NODE, "command"] == 1  # the look


def test_a_second_line_is_found_and_cut_without_a_reboot(fleet, on, virtual_pis):
    before = virtual_pis.boot_id(NODE)
    on(NODE, "echo quiet >>/boot/firmware/cmdline.txt")
    _, results = fleet.verify()
    assert results[NODE, "boot.cmdline_txt_is_one_line"]["status"] == "fail"
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 0, done.stdout
    assert [event["step"] for event in fleet.events("step")] == ["Set the kernel's parameters"]
    assert "\n" not in on(NODE, "cat /boot/firmware/cmdline.txt")
    assert virtual_pis.boot_id(NODE) == before


def test_a_value_set_by_hand_is_found_and_mended(fleet, on, virtual_pis):
    before = virtual_pis.boot_id(NODE)
    on(NODE, "echo arm_freq=1500 >>/boot/firmware/config.txt")
    _, results = fleet.verify()
    assert results[NODE, "boot.config_txt_has_the_planned_values"]["status"] == "fail"
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 0, done.stdout
    assert virtual_pis.boot_id(NODE) != before
    assert on(NODE, "grep -c 'bramble: begin' /boot/firmware/config.txt") == "1"


def test_a_node_that_may_not_reboot_says_that_one_is_pending(fleet, on, virtual_pis):
    before = virtual_pis.boot_id(NODE)
    fleet.write([NODE], {NODE: {"boot": {"reboot": "never", "config": {"arm_freq": "1900"}}}})
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(NODE)["boot.no_reboot_is_pending"] == "warn"
    assert virtual_pis.boot_id(NODE) == before
    fleet.write([NODE], {NODE: {"boot": {"config": {"arm_freq": "1900"}}}})
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 0, done.stdout
    assert [event["step"] for event in fleet.events("step")] == ["Reboot"]
    assert fleet.statuses(NODE)["boot.no_reboot_is_pending"] == "pass"


def test_a_reboot_waits_for_a_step_of_somebody_elses(fleet, on):
    on(NODE, "systemd-run --unit=bramble-build-engine-other --collect sleep 600")
    fleet.write([NODE], {NODE: {"boot": {"config": {"arm_freq": "1800"}}}})
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 1
    assert "bramble-build-engine-other.service must end first" in done.stdout
    on(NODE, "systemctl stop bramble-build-engine-other")
    assert fleet.pyinfra("system", "-y").returncode == 0


def test_an_old_bootloader_only_warns_until_it_may_be_updated(fleet, on, virtual_pis):
    virtual_pis.up(OLD, board="pi4", fault="eeprom-old")
    fleet.write([OLD])
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 0, done.stdout
    assert fleet.statuses(OLD)["boot.bootloader_is_current"] == "warn"
    assert on(OLD, "ls /boot/firmware | grep -c pieeprom || true") == "0"

    before = virtual_pis.boot_id(OLD)
    fleet.write([OLD], {OLD: {"boot": {"eeprom": {"update": True}}}})
    on(OLD, "echo RPI_EEPROM_USE_FLASHROM=1 >/etc/default/rpi-eeprom-update")
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 1
    assert "says RPI_EEPROM_USE_FLASHROM='1'" in done.stdout
    assert on(OLD, "ls /var/lib | grep -c flashed || true") == "0"
    on(OLD, "rm /etc/default/rpi-eeprom-update")
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 0, done.stdout
    steps = [event["step"] for event in fleet.events("step")]
    assert steps == ["Stage the bootloader's update", "Reboot"]
    assert fleet.statuses(OLD)["boot.bootloader_is_current"] == "pass"
    assert virtual_pis.boot_id(OLD) != before
    assert "BOOTLOADER: up to date" in on(OLD, "rpi-eeprom-update")
    assert fleet.pyinfra("system", "-y").returncode == 0
    assert fleet.events("end")[0]["changed"] == []


def test_a_host_that_does_not_come_back_fails_alone(fleet, on, virtual_pis):
    virtual_pis.up(OTHER)
    on(OTHER, "systemctl disable ssh.service ssh.socket; true")
    reboots = {"boot": {"config": {"arm_freq": "1700"}}}
    fleet.write([NODE, OTHER], {NODE: reboots, OTHER: {"boot": {"reboot_deadline_s": 30}}})
    done = fleet.pyinfra("system", "-y")
    assert done.returncode == 1
    assert fleet.events("end")[0]["failed"] == [OTHER]
    assert "did not come back within 30 s" in done.stdout
    waiting = rf"\[{OTHER}\] step \d+ of \d+: Reboot, waiting for the next boot:"
    assert re.search(waiting, done.stdout)
    ends = {event["host"]: event for event in fleet.events("step") if event["step"] == "Reboot"}
    assert (ends[NODE]["state"], ends[OTHER]["state"]) == ("done", "failed")
    assert ends[NODE]["at"] < ends[OTHER]["at"] - 5, "one waited for the other"
    assert fleet.statuses(NODE)["boot.no_reboot_is_pending"] == "pass"
    virtual_pis.down(OTHER)
