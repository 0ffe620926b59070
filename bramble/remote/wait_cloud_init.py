"""Wait until cloud-init has ended its work of this boot: it may be writing users, keys and names."""

import re
import subprocess
import sys
import time

EVERY_S = 2
ARGV = ("cloud-init", "status")


def status():
    """Return what cloud-init says of itself: running, done, error, or nothing."""
    try:
        said = subprocess.run(ARGV, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    found = re.search(r"(?m)^status:\s*(\S.*)$", said)
    return found[1].strip() if found else "unknown"


def main(query):
    """Ask until it does not run any more, for `deadline_s` at most."""
    end = time.monotonic() + query["deadline_s"]
    while (found := status()) == "running":
        if time.monotonic() > end:
            print(
                f"cloud-init has been at work for {query['deadline_s']} s and may still write users, "
                "keys and names: `cloud-init status --long` on the node says with what. Run again once "
                "it has ended",
                file=sys.stderr,
            )
            return 1
        time.sleep(EVERY_S)
    print(f"cloud-init: {found}")
    return 0
