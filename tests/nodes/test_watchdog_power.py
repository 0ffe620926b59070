"""The roles power and watchdog on virtual Pis: what lands, what is in force, what stays unproved."""

import shlex

import pytest

from tests.nodes.fleet import BIN, SKIPPED, Fleet

pytestmark = pytest.mark.nodes

NODE, WEAK, HOT, MUTE = "vpi-141", "vpi-142", "vpi-143", "vpi-144"
DEPLOY = """
from bramble.pyinfra.run import execute, gather_facts

node = gather_facts()
execute(node, "base")
execute(node, "power")
execute(node, "watchdog")
"""
DROP_INS = "/usr/lib/systemd/system.conf.d"
OURS = "/etc/systemd/system.conf.d/99-bramble-watchdog.conf"
VENDORS = "[Manager]\\nRuntimeWatchdogSec=16\\nRebootWatchdogSec=1m\\n"
SHOW = "systemctl show -p RuntimeWatchdogUSec -p RebootWatchdogUSec"
ARMED = "RuntimeWatchdogUSec=5min\nRebootWatchdogUSec=5min"
UNIT = "bramble-governor.service"


@pytest.fixture
def on(virtual_pis):
    """A command on a node as root: on(name, command) is what it printed."""
    return lambda name, command: virtual_pis.said(name, f"sudo sh -c {shlex.quote(command)}")


class Two(Fleet):
    """A fleet that is brought no further than these two roles, which takes no compile."""

    def deploy(self):
        """The two roles' deploy, which must go well; the names of the hosts that changed."""
        script = self.folder / "two_roles.py"
        script.write_text(DEPLOY)
        done = self.run([BIN / "pyinfra", "inventory.py", script, "-y"])
        assert done.returncode == 0, done.stdout
        return self.events("end")[0]["changed"]

    def found(self, name):
        """The results of these two roles' checks on a host, by check."""
        _, results = self.verify(name)
        return {
            check: result
            for (host, check), result in results.items()
            if host == name and check.startswith(("power.", "watchdog."))
        }


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    """A fresh virtual Pi with both roles, the vendor's watchdog under them, and three with faults."""
    virtual_pis.up(NODE)
    virtual_pis.up(WEAK, fault="throttled")
    virtual_pis.up(HOT, fault="hot")
    virtual_pis.up(MUTE, fault="no-vcgencmd")
    vendors = f"{DROP_INS}/70-rpi-enable-watchdog.conf"
    command = f"mkdir -p {DROP_INS}; printf {shlex.quote(VENDORS)} >{vendors}"
    virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")
    fleet = Two(tmp_path_factory.mktemp("fleet"))
    fleet.write([NODE])
    fleet.first_run = fleet.deploy()
    return fleet


def statuses(found):
    return {check: result["status"] for check, result in found.items()}


def test_a_second_run_changes_nothing(fleet):
    assert fleet.first_run == [NODE]
    assert fleet.deploy() == []


def test_systemd_has_our_times_and_not_the_vendors(fleet, on):
    assert on(NODE, SHOW) == ARMED
    assert "RuntimeWatchdogSec=300\n" in on(NODE, f"cat {OURS}")


def test_every_check_passes_but_what_a_container_cannot_show(fleet):
    found = fleet.found(NODE)
    assert statuses(found) == {check: "skip" if check in SKIPPED else "pass" for check in found}
    said = found["watchdog.device_is_armed"]["got"]
    assert said == "a container (systemd-nspawn) has no watchdog of its own"
    shown = fleet.bramble("verify", NODE, "-v").stdout
    assert f"skip    watchdog.device_is_armed: {said}" in shown


@pytest.mark.parametrize(
    ("fault", "mend"),
    [
        (f"rm {OURS}", "true"),
        (f"sed -i s/300/60/ {OURS}", "true"),
        # What sorts after ours is the owner's own: it is found, and not removed.
        (
            f"printf {shlex.quote(VENDORS)} >{DROP_INS}/99-zz.conf",
            f"rm {DROP_INS}/99-zz.conf",
        ),
    ],
)
def test_other_times_in_force_are_found_and_mended(fleet, on, fault, mend):
    on(NODE, f"{fault}; systemctl daemon-reexec")
    on(NODE, f"until {SHOW}; do sleep 0.1; done")
    result = fleet.found(NODE)["watchdog.times_are_in_force"]
    assert result["status"] == "fail"
    assert "not 300 s and 300 s at a reboot" in result["got"]
    on(NODE, mend)
    assert fleet.deploy() == [NODE]
    assert fleet.found(NODE)["watchdog.times_are_in_force"]["status"] == "pass"


def test_the_times_are_in_force_after_a_reboot(fleet, virtual_pis, on):
    virtual_pis.reboot(NODE)
    assert on(NODE, SHOW) == ARMED
    assert fleet.deploy() == []


def test_a_watchdog_that_is_switched_off_is_off(fleet, on):
    fleet.write([NODE], {NODE: {"watchdog": {"enabled": False}}})
    assert fleet.deploy() == [NODE]
    assert on(NODE, SHOW) == "RuntimeWatchdogUSec=0\nRebootWatchdogUSec=0"
    assert fleet.deploy() == []
    fleet.write([NODE])
    assert fleet.deploy() == [NODE]


def test_a_time_that_is_not_safe_is_refused_before_any_connection(fleet):
    fleet.write([NODE], {NODE: {"watchdog": {"runtime_s": 20}}})
    done = fleet.pyinfra("node", "-y")
    fleet.write([NODE])
    assert done.returncode == 2
    assert "watchdog.runtime_s" in done.stdout
    assert "here 4 s" in done.stdout
    assert "Connecting" not in done.stdout


def test_a_governor_has_a_unit_that_leaves_a_containers_host_alone(fleet, on):
    fleet.write([NODE], {NODE: {"power": {"governor": "performance"}}})
    assert fleet.deploy() == [NODE]
    said = on(NODE, f"systemctl show -p UnitFileState -p ConditionResult {UNIT}")
    assert set(said.split()) == {"UnitFileState=enabled", "ConditionResult=no"}
    assert on(NODE, f"systemd-analyze verify /etc/systemd/system/{UNIT} 2>&1; true") == ""
    assert fleet.found(NODE)["power.governor_is_in_force"]["status"] == "skip"
    assert fleet.deploy() == []
    on(NODE, f"systemctl disable -q {UNIT}")
    assert fleet.deploy() == [NODE]
    fleet.write([NODE])


def test_the_governors_unit_writes_to_every_group_of_processors(fleet, on):
    """Its command as systemd reads it, on files of ours: a container's own are its host's."""
    fleet.write([NODE], {NODE: {"power": {"governor": "performance"}}})
    fleet.deploy()
    fake, copy = "/run/cpufreq", "/run/systemd/system/governor-copy.service"
    files = f"{fake}/policy0/scaling_governor {fake}/policy4/scaling_governor"
    on(
        NODE,
        f"mkdir -p {fake}/policy0 {fake}/policy4; for f in {files}; do echo ondemand >$f; done",
    )
    on(
        NODE,
        f"sed 's#/sys/devices/system/cpu/cpufreq#{fake}#; /ConditionVirtualization/d' "
        f"/etc/systemd/system/{UNIT} >{copy}; systemctl daemon-reload; "
        "systemctl start governor-copy",
    )
    assert on(NODE, f"cat {files}").split() == ["performance", "performance"]
    fleet.write([NODE])


def test_a_weak_supply_fails_its_node_and_throttling_warns(fleet):
    fleet.write([WEAK])
    found = fleet.found(WEAK)
    assert found["power.voltage_is_enough"]["status"] == "fail"
    assert found["power.clock_is_not_held_down"]["got"] == "now: throttled"
    assert found["power.clock_is_not_held_down"]["status"] == "warn"
    since = found["power.nothing_was_throttled_since_boot"]
    assert (since["status"], since["got"]) == ("warn", "since boot: undervoltage, throttled")
    fleet.write([NODE])


def test_a_hot_board_only_warns(fleet):
    fleet.write([HOT])
    found = fleet.found(HOT)
    assert found["power.temperature_is_moderate"]["status"] == "warn"
    assert found["power.temperature_is_moderate"]["got"] == "84.5 °C"
    assert found["power.clock_is_not_held_down"]["got"] == "now: soft temperature limit"
    assert found["power.voltage_is_enough"]["status"] == "pass"
    fleet.write([NODE])


def test_a_vcgencmd_that_cannot_tell_is_unknown_and_no_pass(fleet):
    fleet.write([MUTE])
    result = fleet.found(MUTE)["power.voltage_is_enough"]
    assert result["status"] == "unknown"
    assert "Can't open device file: /dev/vcio" in result["got"]
    fleet.write([NODE])
