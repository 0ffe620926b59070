"""Re-execute systemd, so that it reads its configuration, and wait until it answers."""

import subprocess
import sys
import time


def systemctl(*words):
    """Run systemctl, and return its result even where it fails."""
    return subprocess.run(["systemctl", *words], capture_output=True, text=True)


def main(query):
    """Re-execute systemd; on a busy board it may take a while until it answers again."""
    done = systemctl("daemon-reexec")
    if done.returncode:
        print(f"systemctl daemon-reexec: {done.stderr.strip()}", file=sys.stderr)
        return 1
    deadline_s = time.monotonic() + query["deadline_s"]
    while systemctl("show", "-p", "Version").returncode:
        if time.monotonic() > deadline_s:
            print(f"systemd did not answer again within {query['deadline_s']} s", file=sys.stderr)
            return 1
        time.sleep(0.1)
    return 0
