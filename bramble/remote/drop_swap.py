"""Disable swap: its units, then its files, of which only swap files are removed."""

import os
import stat
import subprocess
import sys

from bramble.remote import atomic, swap_file

SWAPS = "/proc/swaps"


def run(*argv):
    """Run a command, and return its result even where it fails."""
    return subprocess.run(argv, capture_output=True, text=True)


def active(path):
    """Return whether a file is in use as swap."""
    with open(SWAPS, encoding="utf-8") as file:
        return any(line.split()[0] == path for line in file)


def is_swap(path):
    """Return whether a plain file is a swap file, for any page size."""
    return stat.S_ISREG(os.lstat(path).st_mode) and swap_file.signed_for(path) is not None


def note(path):
    """Record what we are about to change, so that it can be reverted."""
    atomic.make_folder(os.path.dirname(path))
    atomic.write(path, "stopped and disabled by bramble's role memory\n", 0o644)


def remove(path):
    """Remove a swap file once it is unused; return why it stays in use, or None."""
    if not os.path.lexists(path):
        return None
    if not is_swap(path):
        print(f"{path} is no swap file and was left alone")
        return None
    if active(path):
        done = run("swapoff", path)
        if done.returncode:
            return f"{path} stays in use, RAM may be too short: {done.stderr.strip()}"
    atomic.remove(path)
    return None


def main(query):
    """Stop `units`, remove `files`, and disable the units last, so that an interruption shows."""
    for path in query["notes"]:
        note(path)
    for unit in query["units"]:
        done = run("systemctl", "stop", unit)
        if done.returncode:
            print(f"systemctl stop {unit}: {done.stderr.strip()}", file=sys.stderr)
            return 1
    for path in query["files"]:
        problem = remove(path)
        if problem:
            print(problem, file=sys.stderr)
            return 1
    for unit in query["units"]:
        done = run("systemctl", "disable", unit)
        if done.returncode:
            print(f"systemctl disable {unit}: {done.stderr.strip()}", file=sys.stderr)
            return 1
    atomic.sync_etc()
    return 0
