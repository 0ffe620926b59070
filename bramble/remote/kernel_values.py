"""Apply values of /proc/sys in systemd's own order of files, and read them back.

To revert a file of ours, set the values to the kernel's own defaults, remove the file, and apply again
what other files say of them.
"""

import os
import subprocess
import sys

from bramble.remote import atomic

SYSTEMD_SYSCTL = "/lib/systemd/systemd-sysctl"
FOLDER = "/proc/sys"


def place(name):
    """Return the file of a value: dots separate its folders."""
    return os.path.join(FOLDER, *name.split("."))


def read(name):
    """Return a value that is in force."""
    with open(place(name), encoding="ascii") as file:
        return file.read().strip()


def apply(names):
    """Apply what all files say of these values; return the error where systemd fails."""
    prefixes = [f"--prefix={name}" for name in names]
    done = subprocess.run([SYSTEMD_SYSCTL, *prefixes], capture_output=True, text=True)
    return f"{SYSTEMD_SYSCTL}: {done.stderr.strip()}" if done.returncode else None


def other(values):
    """Say which values are not in force as wanted; return None where all are."""
    found = {name: read(name) for name in values}
    wrong = [f"{n} is {found[n]}, not {values[n]}" for n in values if found[n] != values[n]]
    if not wrong:
        return None
    return (
        f"{', '.join(wrong)}: another file says so after ours "
        f"(`{SYSTEMD_SYSCTL} --cat-config` shows which). Remove the line there, or set "
        "memory.kernel to the same value"
    )


def main(query):
    """Apply `values`; with `remove`, revert that file instead, and `values` are the defaults."""
    values = query["values"]
    try:
        if query["remove"] is None:
            problem = apply(values) or other(values)
        else:
            for name, value in values.items():
                with open(place(name), "w", encoding="ascii") as file:
                    file.write(value)
            atomic.remove(query["remove"])
            problem = apply(values)
    except OSError as error:
        problem = f"the kernel's values could not be set: {error}"
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
