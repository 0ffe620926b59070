"""What shows a secret: the processes of this computer, which are its nodes' too, and their files."""

import os
import subprocess
import threading
from pathlib import Path

EVERY_S = 0.02


class Watch(threading.Thread):
    """Looks for a secret in every argv and environment, 50 times a second.

    `allowed` are the first words of commands that are given it in their environment.
    """

    def __init__(self, secret, allowed=()):
        super().__init__(daemon=True)
        self.secret, self.allowed = os.fsencode(secret), {os.fsencode(word) for word in allowed}
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
        if self.secret in argv:
            self.found.add(("argv", shown))
        if self.secret in environment and not self.allowed & {*argv.split(b"\0")}:
            self.found.add(("environment", shown))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.join()


def files_with(secret, *folders):
    """The files below these folders of this computer that hold a secret."""
    argv = ["grep", "-rlF", "--devices=skip", secret, *map(str, folders)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
