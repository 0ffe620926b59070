"""What spoils what watchdog proves, what hides it from a look, and where its checks do not apply."""

from dataclasses import replace

from bramble.snapshot import Output, Snapshot
from tests.unit.looks import DETECT, WHY, in_container, plain, with_command, with_file
from tests.unit.roles.watchdog.good import SHOW, WATCHDOG
from tests.unit.spoiled import GOOD, MINI_PC, NO_FILES, Cases, Exceptions, Node, edited

DROP_IN = "/etc/systemd/system.conf.d/99-bramble-watchdog.conf"


def watchdog_times(runtime: str, reboot: str = "5min") -> Snapshot:
    """A good look but for systemd's times."""
    said = f"RuntimeWatchdogUSec={runtime}\nRebootWatchdogUSec={reboot}\n"
    return with_command(GOOD, SHOW, Output(0, said))


FAULTS: Cases = {
    "times_are_in_force": {
        "off": watchdog_times("0"),
        "the vendor's": watchdog_times("1min", "2min"),
        "another at a reboot": watchdog_times("5min", "10min"),
        "no end": watchdog_times("infinity"),
    },
    "device_is_armed": {
        "not armed": with_file(GOOD, f"{WATCHDOG}/state", plain("inactive\n")),
        "another time": with_file(GOOD, f"{WATCHDOG}/timeout", plain("12\n")),
        "a Pi without one": with_file(GOOD, f"{WATCHDOG}/state", None),
        "a program's": with_file(GOOD, f"{WATCHDOG}/identity", plain("Software Watchdog\n")),
    },
    "files_are_as_written": {
        "shorter at the next boot": edited(DROP_IN, "300", "10"),
        "removed": with_file(GOOD, DROP_IN, None),
    },
}

BLIND: Cases = {
    "files_are_as_written": {"no files": NO_FILES},
    "times_are_in_force": {
        "no commands": replace(GOOD, commands=WHY),
        "no answer": with_command(GOOD, SHOW, WHY),
        "a systemctl that failed": with_command(GOOD, SHOW, Output(1, WHY.why)),
    },
    "device_is_armed": {
        "perhaps a container": with_command(GOOD, DETECT, WHY),
        "no files": NO_FILES,
        "no state": with_file(GOOD, f"{WATCHDOG}/state", WHY),
        "no timeout": with_file(GOOD, f"{WATCHDOG}/timeout", WHY),
    },
}

SKIPPED: Exceptions = {
    "device_is_armed": (
        (in_container(GOOD), "a container (systemd-nspawn) has no watchdog of its own"),
        (
            Node(with_file(GOOD, f"{WATCHDOG}/state", None), plan=MINI_PC),
            f"there is no {WATCHDOG}",
        ),
    ),
}
