"""Whether the clock follows an NTP server, as timedatectl would report, without starting timedated.

timedated ends after half a minute without a request, so most looks would start it again.
"""

import ctypes
import glob
import os
import subprocess

FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
LOCALTIME = "/etc/localtime"
ZONES = "/zoneinfo/"
# timedated considers a clock with an error of this many microseconds as not synchronised.
MAX_ERROR_US = 16_000_000
MAX_ERROR_AT = 3  # in words of a struct timex, on 64 bits
RUNNING = ("active", "activating", "reloading")


def services():
    """Return the NTP services that packages list for timedated (systemd-timedated.service(8))."""
    names = []
    for folder in FOLDERS:
        for path in sorted(glob.glob(f"{folder}/systemd/ntp-units.d/*.list")):
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file]
            names += [line for line in lines if line and not line.startswith("#")]
    return list(dict.fromkeys(names))


def states(names):
    """Return the services that exist, and those of them that run."""
    if not names:
        return [], []
    words = ["systemctl", "show", "--property", "LoadState,ActiveState", "--", *names]
    text = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    units = [
        dict(line.partition("=")[::2] for line in block.splitlines())
        for block in text.strip().split("\n\n")
    ]
    there = [unit for unit in units if unit["LoadState"] == "loaded"]
    return there, [unit for unit in there if unit["ActiveState"] in RUNNING]


def synchronised():
    """Return whether the kernel considers its clock as set; a container may not ask, and sets none."""
    timex = (ctypes.c_long * 64)()
    reported = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    return reported >= 0 and timex[MAX_ERROR_AT] < MAX_ERROR_US


def look():
    """Return the clock's state by timedatectl's names, with its yes and no."""
    there, running = states(services())
    answers = {"CanNTP": there, "NTP": running, "NTPSynchronized": synchronised()}
    zone = os.path.realpath(LOCALTIME).rpartition(ZONES)[2]
    return {"Timezone": zone} | {name: "yes" if is_so else "no" for name, is_so in answers.items()}
