"""What a good node shows of boot: its parameters in force, and no reboot that is waited for."""

from bramble.plan import NodePlan
from bramble.snapshot import Boot, Output, Snapshot
from tests.unit.looks import plain

CMDLINE = "console=tty1 root=PARTUUID=4e639091-02 rootwait cgroup_enable=memory psi=1\n"
CONFIG = (
    "arm_boost=1\n\n[all]\narm_freq=2000\ndtparam=pciex1_gen=3\n"
    "dtparam=fan_temp0=45000\ndtparam=fan_temp1=55000\n"
    "dtparam=fan_temp2=62000\ndtparam=fan_temp3=70000\n"
)
EEPROM = """BOOTLOADER: up to date
   CURRENT: Wed  5 Nov 17:37:18 UTC 2025 (1762364238)
    LATEST: Wed  5 Nov 17:37:18 UTC 2025 (1762364238)
   RELEASE: default (/lib/firmware/raspberrypi/bootloader-2712/default)
            Use raspi-config to change the release.
"""
CONTROLLERS = "/sys/fs/cgroup/cgroup.controllers"
PRESSURE = "/proc/pressure/memory"
CONFIG_STAMP = "/run/bramble/reboot/config.txt"
STAGED = "/boot/firmware/pieeprom.upd"
RECOVERY = "/boot/firmware/recovery.bin"
SETTINGS = {"config": {"arm_freq": "2000", "dtparam=pciex1_gen": "3"}}


def look(plan: NodePlan) -> Snapshot:
    """What this role's plan left on a node."""
    absent = (
        *(STAGED, RECOVERY, "/etc/default/rpi-eeprom-update"),
        *(CONFIG_STAMP, "/run/bramble/reboot/eeprom"),
    )
    return Snapshot(
        boot=Boot(f"cgroup_disable=memory {CMDLINE}", CMDLINE, CONFIG),
        files={
            **dict.fromkeys(absent),
            CONTROLLERS: plain("cpuset cpu io memory pids\n"),
            PRESSURE: plain("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
        },
        commands={"rpi-eeprom-update": Output(0, EEPROM)},
    )
