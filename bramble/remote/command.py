"""Run one short command and show what it says."""

import subprocess
import sys


def main(query):
    """Run `argv`; its exit code is ours, and a failure names the command."""
    done = subprocess.run(query["argv"], capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(query['argv'])}: exit code {done.returncode}", file=sys.stderr)
        print((done.stdout + done.stderr).strip(), file=sys.stderr)
    return done.returncode
