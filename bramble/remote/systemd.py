"""Run verbs of systemctl on units in a fixed order, until the first that fails."""

import subprocess
import sys

from bramble.remote import atomic

# Verbs that stop come first, those that start last, and the reload lies in between.
BEFORE = ("stop", "disable", "unmask", "mask")
AFTER = ("enable", "start", "restart")


def systemctl(*words):
    """Run systemctl; return False where it fails, after printing its words."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True)
    if done.returncode:
        print(f"systemctl {' '.join(words)}: {done.stderr.strip()}", file=sys.stderr)
    return done.returncode == 0


def lines(*words):
    """Return the lines that systemctl prints of units, without a head."""
    argv = ["systemctl", *words, "--plain", "--no-legend"]
    return subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()


def failed_below(unit):
    """Return the failed units that a unit depends on: their messages have the cause."""
    below = [line.strip() for line in lines("list-dependencies", unit)]
    failed = lines("list-units", "--state=failed", *below)
    return [name for line in failed for name in line.split()[:1] if name != unit]


def journal(unit):
    """Return the unit's last messages, for a person who must know why it did not start."""
    several = [word for name in (*failed_below(unit), unit) for word in ("-u", name)]
    words = ["journalctl", *several, "-n", "25", "--no-pager", "-o", "cat"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def main(query):
    """Carry out `stop`, `disable`, `unmask`, `mask`, `reload`, `enable`, `start`, `restart`."""
    for verb in BEFORE:
        if query[verb] and not systemctl(verb, *query[verb]):
            return 1
    if query["reload"] and not systemctl("daemon-reload"):
        return 1
    for verb in AFTER:
        for unit in query[verb]:
            if not systemctl(verb, unit):
                if verb != "enable":
                    print(journal(unit), file=sys.stderr)
                return 1
    atomic.sync_etc()
    return 0
