"""Run one short command and print its output where it fails."""

import subprocess
import sys


def main(query):
    """Run `argv`; return its exit code, and name the command where it failed."""
    done = subprocess.run(query["argv"], capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(query['argv'])}: exit code {done.returncode}", file=sys.stderr)
        print((done.stdout + done.stderr).strip(), file=sys.stderr)
    return done.returncode
