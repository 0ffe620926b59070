"""What one look at a board asks for: what its own tools say, and the files that they work by."""

from __future__ import annotations

import base64
import gzip

from bramble import remote

TOOLS = ("vcgencmd", "rpi-eeprom-update", "rpi-eeprom-config")
"""Whose outputs a virtual Pi replays."""

_VCGENCMD = (
    "version",
    "bootloader_version",
    "bootloader_config",
    "get_throttled",
    "measure_temp",
    "measure_temp pmic",
    "measure_volts",
    "measure_volts core",
    "measure_clock arm",
    "get_mem arm",
    "get_config int",
    "get_config str",
    "get_config total_mem",
    "get_config usb_max_current_enable",
    "pmic_read_adc",
    "pmic_read_adc EXT5V_V",
)
COMMANDS = (
    *(f"vcgencmd {words}" for words in _VCGENCMD),
    "rpi-eeprom-update",
    "rpi-eeprom-config",
    "uname -srvm",
    "lscpu",
    "free -m",
    "swapon --show --bytes",
    "zramctl --bytes",
    # Of other mounts, disks and units the names are people's own.
    "findmnt --noheadings --output FSTYPE,OPTIONS /",
    "findmnt --noheadings --output FSTYPE,OPTIONS --target /var/lib/bramble/models",
    "lsblk --bytes --output NAME,TYPE,TRAN,SIZE,FSTYPE,MODEL",
    "systemctl show --property RuntimeWatchdogUSec,RebootWatchdogUSec,WatchdogDevice",
    "systemctl is-system-running",
    "systemd-analyze time",
    "wdctl",
)
FILES = (
    "/proc/device-tree/model",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/cmdline",
    "/proc/pressure/memory",
    "/etc/os-release",
    "/etc/rpi-issue",
    "/boot/firmware/config.txt",
    "/boot/firmware/cmdline.txt",
    "/sys/class/watchdog/watchdog0/identity",
    "/sys/class/watchdog/watchdog0/timeout",
    "/sys/class/watchdog/watchdog0/max_timeout",
    "/sys/block/zram0/mm_stat",
    "/sys/block/zram0/comp_algorithm",
    "/sys/class/thermal/thermal_zone0/temp",
    "/sys/class/thermal/cooling_device0/cur_state",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq",
    "/sys/fs/cgroup/cgroup.controllers",
)
QUERY = {"commands": COMMANDS, "files": FILES}


def line() -> str:
    """Return the line of shell that looks, as root where sudo asks for no password.

    Without root an account that is not in the group video sees nothing of vcgencmd. The program goes by
    a pipe, as sudo writes arguments into the journal.
    """
    program = gzip.compress(remote.program("board_look", QUERY).encode(), mtime=0)
    unpacked = 'printf %s "$1" | base64 -d | gzip -d |'
    return (
        f"set -- {base64.b64encode(program).decode()}; if sudo -n true 2>/dev/null; "
        f"then {unpacked} sudo -n {remote.COMMAND}; else {unpacked} {remote.COMMAND}; fi"
    )
