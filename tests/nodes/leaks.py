"""What shows a secret: the processes of this computer, which are its nodes' too, and their files."""

import os
import secrets
import subprocess
import tempfile
import threading
from pathlib import Path

EVERY_S = 0.02
FOLDERS = "/run /tmp /var /etc /root /home /opt /usr/local"
"""Where a node could have written a secret: units, reports and what is temporary among them."""


def canary(prefix=""):
    """A secret that nothing else on this computer has, other tests and other runs included."""
    return f"{prefix}Canary{secrets.token_hex(16)}"


class Watch(threading.Thread):
    """Looks for secrets in every argv and environment, 50 times a second.

    `allowed` are the first words of commands that are given them in their environment.
    """

    def __init__(self, *sought, allowed=()):
        super().__init__(daemon=True)
        self.secrets = [os.fsencode(secret) for secret in sought]
        self.allowed = {os.fsencode(word) for word in allowed}
        self.over, self.found, self.looks = threading.Event(), set(), 0

    def run(self):
        while not self.over.wait(EVERY_S):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                self.look(process)

    def look(self, process):
        try:
            argv = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            return  # it has ended
        shown = argv.replace(b"\0", b" ").decode(errors="replace")
        if any(secret in argv for secret in self.secrets):
            self.found.add(("argv", shown))
        given = any(secret in environment for secret in self.secrets)
        if given and not self.allowed & {*argv.split(b"\0")}:
            self.found.add(("environment", shown))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.join()


def on_node(on, secret):
    """Where a node shows a secret: its files, and the lines of its journal; `on` runs what root says."""
    # The pattern does not match itself, as sudo's log has the command.
    pattern = f"[{secret[0]}]{secret[1:]}"
    files = on(f"grep -rl --devices=skip -e '{pattern}' {FOLDERS} 2>/dev/null || true")
    lines = on(f"journalctl --no-pager | grep -e '{pattern}' || true")
    yield from (("node", file) for file in files.splitlines())
    yield from (("journal", line) for line in lines.splitlines())


def files_with(secret, *folders):
    """The files below these folders of this computer that hold a secret."""
    argv = ["grep", "-rlF", "--devices=skip", "-e", secret, *map(str, folders)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def temporary():
    """What lies in this computer's folder for temporary files, but for what tests have there."""
    there = Path(tempfile.gettempdir()).iterdir()
    return [path for path in there if not path.name.startswith("pytest-of-")]
