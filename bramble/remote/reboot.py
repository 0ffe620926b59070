"""Reboot this node, if it is still needed, a moment after this program has answered.

It prints one JSON object: whether it reboots, and the identity of the boot that then ends.
"""

import glob
import json
import os
import subprocess
import sys

# Detached steps, of this run or of somebody else's, which a reboot would cut short.
UNDER_WAY = "/run/systemd/transient/bramble-*.service"
# What passes a model on does no work of this node's. It outlives a run that was killed by minutes, and
# whoever takes from it takes the rest elsewhere.
PASSES_ON = "bramble-pass-on-"
IN_A_MOMENT = (
    *("systemd-run", "--quiet", "--collect", "--on-active=1", "--timer-property=AccuracySec=100ms"),
    *("systemctl", "--no-block", "reboot"),
)


def boot_id():
    """The identity of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def main(query):
    """Ask systemd for a reboot when `always` is set or one of the paths `when` is there."""
    needed = query["always"] or any(os.path.exists(path) for path in query["when"])
    if needed:
        names = [os.path.basename(path) for path in glob.glob(UNDER_WAY)]
        units = [name for name in names if not name.startswith(PASSES_ON)]
        if units:
            print(f"{', '.join(units)} must end first; run again then", file=sys.stderr)
            return 1
        os.sync()
        try:
            subprocess.run(IN_A_MOMENT, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            print(f"systemd would not reboot: {error.stderr.strip()}", file=sys.stderr)
            return 1
    print(json.dumps({"rebooting": needed, "boot_id": boot_id()}))
    return 0
