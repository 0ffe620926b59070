"""Start a program that serves a file to other nodes, as a transient unit, and print its address.

One that is already running, of this run or an earlier one, is reused.
"""

import fcntl
import json
import os
import subprocess
import sys
import time

from bramble.remote import follow

READY_S = 20


def said(log):
    """Return the first line for people in the log; None while there is none."""
    if not os.path.exists(log):
        return None
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [line for line in file if line.startswith(":: ") and line.endswith("\n")]
    return lines[0].removeprefix(":: ") if lines else None


def let_in(query, folder):
    """Add the peers of this run to the file that the program reads."""
    path, peers = os.path.join(folder, "peers"), set(query["peers"])
    with open(f"{path}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path) and follow.is_running(query["unit"]):
            with open(path, encoding="utf-8") as file:
                peers |= set(json.load(file))
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(sorted(peers), file)
        os.rename(f"{path}.new", path)


def started(query, folder):
    """Return the program's first message; None where it ends without one, or sends none in time."""
    let_in(query, folder)
    follow.attach(query["unit"], folder, query["program"], query["properties"])
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        line = said(os.path.join(folder, "log"))
        if line is not None or not follow.is_running(query["unit"]):
            return line
        time.sleep(0.05)
    return None


def main(query):
    """Run `program` as `unit` with `properties` for `peers`; print the address that it announces."""
    folder = os.path.join(follow.STEPS, query["unit"])
    if query["whole"] and not os.path.exists(query["whole"]):
        print(f"{query['whole']} is not there", file=sys.stderr)
        return 1
    os.makedirs(folder, mode=0o700, exist_ok=True)
    try:
        line = started(query, folder)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"could not start {query['unit']}: {error}", file=sys.stderr)
        return 1
    if line is None:
        follow.complain(folder)
        return 1
    print(json.dumps(json.loads(line)))
    return 0
