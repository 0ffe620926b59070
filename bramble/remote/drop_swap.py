"""Take swap out of use: its units, and then its files, of which only swap files are removed."""

import os
import stat
import subprocess
import sys

from bramble.remote import atomic

SWAPS = "/proc/swaps"
PAGE_SIZES = (4096, 16384, 65536)
SIGNATURE = b"SWAPSPACE2"


def run(*argv):
    """A command to its end, whatever comes of it."""
    return subprocess.run(argv, capture_output=True, text=True)


def active(path):
    """Whether a file is swap at this moment."""
    with open(SWAPS, encoding="utf-8") as file:
        return any(line.split()[0] == path for line in file)


def is_swap(path):
    """Whether a plain file holds swap and nothing else, for whichever page size."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    with open(path, "rb") as file:
        for size in PAGE_SIZES:
            file.seek(size - len(SIGNATURE))
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
    return False


def note(path):
    """Leave word that we did this, before it is done, so that it can be taken back."""
    atomic.make_folder(os.path.dirname(path))
    atomic.write(path, "stopped and disabled by bramble's role memory\n", 0o644)


def remove(path):
    """Remove a swap file that is no longer in use; the reason when it stays in use."""
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
    """Stop `units`, remove `files`, and last disable the units, so that what is cut short is seen."""
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
