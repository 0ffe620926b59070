"""What a good node shows of power: its governor, a fan's temperatures, and no word of trouble."""

from bramble.plan import NodePlan
from bramble.snapshot import Output, Snapshot
from bramble.testing.roles import unit
from tests.unit.looks import plain

GOVERNOR_UNIT = "bramble-governor.service"
GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
TRIP = "/sys/class/thermal/thermal_zone0/trip_point_{}_temp"
ZONE = "/sys/class/thermal/thermal_zone0/temp"
SETTINGS = {"governor": "performance", "fan": {"levels_c": [45, 55, 62, 70]}}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    trips = {
        TRIP.format(number): plain(f"{degrees}000\n")
        for number, degrees in enumerate((110, 45, 55, 62, 70))
    }
    return Snapshot(
        units={GOVERNOR_UNIT: unit(sub="exited")},
        files={GOVERNOR: plain("performance\n"), ZONE: plain("48300\n"), **trips},
        commands={
            "vcgencmd get_throttled": Output(0, "throttled=0x0\n"),
            "vcgencmd measure_temp": Output(0, "temp=48.3'C\n"),
        },
    )
