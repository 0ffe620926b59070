"""Reboot this node, if it is still needed, a moment after this program has answered.

Print one JSON object: whether it reboots, and the boot_id of the boot that then ends.
"""

import glob
import json
import os
import subprocess
import sys

# Detached steps, of this or another run, which a reboot would interrupt.
UNDER_WAY = "/run/systemd/transient/bramble-*.service"
# A server that passes a model on does no work for this node. It outlives a killed run by minutes, and
# those who download from it can continue elsewhere.
PASSES_ON = "bramble-pass-on-"
IN_A_MOMENT = (
    *("systemd-run", "--quiet", "--collect", "--on-active=1", "--timer-property=AccuracySec=100ms"),
    *("systemctl", "--no-block", "reboot"),
)


def boot_id():
    """Return the boot_id of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def main(query):
    """Ask systemd for a reboot when `always` is set or one of the paths `when` exists."""
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
