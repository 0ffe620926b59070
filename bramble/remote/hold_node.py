"""Hold this node for one run, for as long as the connection of that run lives.

The lock is this process's: it ends with the connection, whose end closes its input, and where the run's
computer went without a word it ends after SILENT_S without a byte from there.
"""

import fcntl
import json
import os
import select
import sys
import time

LOCK = "/run/bramble/run.lock"
# What the run's computer sends a byte every few seconds for: bramble/pyinfra/alone.py.
SILENT_S = 60


def holder(file):
    """Tell which run holds the lock, by whom and since when, and in words."""
    file.seek(0)
    try:
        found = json.loads(file.read())
        who, since = found["who"], found["since"]
        return {"holder": f"{who} (since {since})", "who": who, "since": since}
    except (ValueError, LookupError, TypeError):
        return {"holder": "another run", "who": None, "since": None}


def taken(file, wait_s):
    """Take the lock within `wait_s`; return the seconds waited, 0 for a free one, or None."""
    began, waited_s = time.monotonic(), 0.0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited_s > wait_s:
                return None
            time.sleep(0.2)
            waited_s = time.monotonic() - began
        else:
            return waited_s


def stay(connection):
    """Return once nothing comes from the run's computer any more."""
    while select.select([connection], [], [], SILENT_S)[0]:
        if not os.read(connection, 4096):
            return


def main(query):
    """Take the lock and print how long that took, or who holds it; then stay."""
    os.makedirs(os.path.dirname(LOCK), exist_ok=True)
    with open(LOCK, "a+", encoding="utf-8") as file:
        waited_s = taken(file, query["wait_s"])
        if waited_s is None:
            print(json.dumps(holder(file)), flush=True)
            return 1
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        file.write(json.dumps({"who": query["who"], "since": since}))
        file.flush()
        print(json.dumps({"waited_s": waited_s}), flush=True)
        stay(sys.stdin.fileno())
    return 0
