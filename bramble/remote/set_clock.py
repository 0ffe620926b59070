"""Set this node's clock to the right time: by NTP, or else forward to the deploying computer's.

A Pi 4 has no clock that runs without power, so after a while in a drawer its time lies in the past:
apt finds its lists "not valid yet", and every certificate seems to come from the future.
"""

import subprocess
import sys
import time


def synchronised():
    """Return whether the kernel's clock follows an NTP server."""
    words = ["timedatectl", "show", "-p", "NTPSynchronized", "--value"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() == "yes"


def wait(wait_s):
    """Wait until the clock follows an NTP server; return whether it does within this time."""
    deadline_s = time.monotonic() + wait_s
    while not synchronised():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.5)
    return True


def set_forward(right_s, tolerance_s):
    """Set the clock to `right_s` if it is behind; return the reason where it must stay as it is."""
    behind_s = right_s - time.time()
    if abs(behind_s) <= tolerance_s:
        return None
    if behind_s < 0:
        return (
            f"this node's clock is {-behind_s:.0f} s ahead of the computer that deploys, and no NTP "
            "server says which is right. A Pi without power falls behind, so look at the computer's "
            "clock first; then set this one (sudo date -s) or give it an NTP server"
        )
    try:
        time.clock_settime(time.CLOCK_REALTIME, right_s)
    except PermissionError as error:
        return f"this node's clock is {behind_s:.0f} s behind and cannot be set: {error}"
    print(f"set forward by {behind_s:.0f} s to the deploying computer's clock", flush=True)
    return None


def main(query):
    """Enable NTP if `ntp` asks for it; if `wait_s` is given, ensure that the clock is right.

    `right_at_s` is the deploying computer's time when it sent this program.
    """
    began_s = time.monotonic()
    if query["ntp"]:
        done = subprocess.run(["timedatectl", "set-ntp", "true"], capture_output=True, text=True)
        if done.returncode:
            print(f"timedatectl set-ntp true: {done.stderr.strip()}", file=sys.stderr)
            return 1
    if query["wait_s"] is None or wait(query["wait_s"]):
        return 0
    right_s = query["right_at_s"] + time.monotonic() - began_s
    problem = set_forward(right_s, query["tolerance_s"])
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
