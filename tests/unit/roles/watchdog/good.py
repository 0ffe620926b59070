"""What a good node shows of watchdog: the device armed, and systemd's times."""

from bramble.plan import NodePlan
from bramble.snapshot import Output, Snapshot
from tests.unit.looks import plain

WATCHDOG = "/sys/class/watchdog/watchdog0"
SHOW = "systemctl show -p RuntimeWatchdogUSec -p RebootWatchdogUSec"


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    return Snapshot(
        files={
            f"{WATCHDOG}/state": plain("active\n"),
            f"{WATCHDOG}/timeout": plain("300\n"),
            f"{WATCHDOG}/identity": plain("Broadcom BCM2835 Watchdog timer\n"),
        },
        commands={SHOW: Output(0, "RuntimeWatchdogUSec=5min\nRebootWatchdogUSec=5min\n")},
    )
