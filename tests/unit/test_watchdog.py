"""The watchdog's times: which are safe, what systemd says of them, and what the device says."""

import pytest
from pydantic import ValidationError

from bramble.roles.watchdog import plan as watchdog
from bramble.roles.watchdog.settings import Settings
from bramble.snapshot import FileState, Output, Unknown
from tests.unit.good_node import good_look, node_plan
from tests.unit.looks import in_container, plain, recorded, with_command, with_file
from tests.unit.roles.watchdog.good import SHOW, WATCHDOG

GOOD = good_look(node_plan())


@pytest.mark.parametrize("seconds", [1, 14, 15, 26, 30, 31, 60, 90, 300, 1500])
def test_times_that_every_kernel_keeps_are_taken(seconds):
    assert Settings(runtime_s=seconds, reboot_s=seconds).runtime_s == seconds


@pytest.mark.parametrize(
    ("seconds", "left"), [(16, 0), (20, 4), (100, 4), (120, 8), (180, 4), (600, 8), (25, 9)]
)
@pytest.mark.parametrize("name", ["runtime_s", "reboot_s"])
def test_times_that_older_kernels_cut_short_are_refused_with_the_reason(name, seconds, left):
    with pytest.raises(ValidationError, match=f"{seconds} s is not safe") as refused:
        Settings(**{name: seconds})
    said = str(refused.value)
    assert "allowed are 1 to 15, and times that leave 10 or more when divided by 16" in said
    assert "PR 7432 (bcm2835_wdt)" in said
    assert f"here {left} s" in said


@pytest.mark.parametrize("seconds", [0, -1, 3610])
def test_times_out_of_bounds_are_refused(seconds):
    with pytest.raises(ValidationError, match="than or equal to"):
        Settings(runtime_s=seconds)


def test_the_defaults_are_safe_themselves():
    Settings(runtime_s=Settings().runtime_s, reboot_s=Settings().reboot_s)


def test_the_drop_in_sorts_after_the_vendors():
    names = ["40-rpi-enable-watchdog.conf", "70-rpi-enable-watchdog.conf"]
    assert max([*names, watchdog.DROP_IN.rsplit("/", 1)[1]]) == "99-bramble-watchdog.conf"


def test_the_times_are_read_from_what_systemd_recorded():
    said = recorded("systemctl-show-watchdog.container-bookworm-amd64.txt")
    assert watchdog.manager_times(with_command(GOOD, SHOW, Output(0, said))) == (300, 300)


@pytest.mark.parametrize(
    "said",
    [
        None,
        Output(0, ""),
        Output(0, "RuntimeWatchdogUSec=5min\n"),
        Output(0, "RuntimeWatchdogUSec=soon\nRebootWatchdogUSec=5min\n"),
        Output(1, "Failed to connect to bus"),
    ],
)
def test_a_systemd_that_does_not_tell_is_unknown(said):
    assert isinstance(watchdog.manager_times(with_command(GOOD, SHOW, said)), Unknown)


def test_a_device_is_told_with_its_state_time_and_name():
    assert watchdog.device(GOOD) == watchdog.Device(
        "active", 300, "Broadcom BCM2835 Watchdog timer"
    )


def test_a_containers_host_may_have_a_device_and_the_container_has_none():
    assert watchdog.device(in_container(GOOD)) is None


@pytest.mark.parametrize(
    "seen", [plain("soon\n"), plain("-5\n"), None, FileState("link", 0, "", "", 0, 0)]
)
def test_a_device_without_a_readable_time_is_unknown(seen):
    found = watchdog.device(with_file(GOOD, f"{WATCHDOG}/timeout", seen))
    assert isinstance(found, Unknown)
