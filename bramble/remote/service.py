"""Reload, enable and restart a systemd service."""

import subprocess
import sys

from bramble.remote import atomic


def systemctl(*words):
    """Run systemctl; raise CalledProcessError with its words where it fails."""
    subprocess.run(["systemctl", *words], check=True, capture_output=True, text=True)


def journal(unit):
    """Return the unit's last messages."""
    return subprocess.run(
        ["journalctl", "-u", unit, "-n", "25", "--no-pager", "-o", "cat"],
        capture_output=True,
        text=True,
    ).stdout


def main(query):
    """Reload, enable and restart `unit` as asked."""
    unit = query["unit"]
    try:
        if query["reload"]:
            systemctl("daemon-reload")
        if query["enable"]:
            systemctl("enable", unit)
            atomic.sync_etc()
        if query["restart"]:
            # Counted failures of an earlier plan must not block this start; an unloaded unit has none.
            subprocess.run(["systemctl", "reset-failed", unit], capture_output=True)
            systemctl("restart", unit)
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(error.cmd)}: {error.stderr.strip()}", file=sys.stderr)
        print(journal(unit), file=sys.stderr)
        return 1
    return 0
