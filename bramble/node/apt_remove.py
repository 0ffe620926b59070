"""Remove a Debian package, and leave its configuration, which a person may have edited."""

import os
import subprocess
import sys

LOCK_WAIT_S = 240
ENVIRONMENT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


def main(query):
    """Remove `packages`, once nobody else installs."""
    argv = ["apt-get", "-q", "-y", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT_S}", "remove"]
    done = subprocess.run(
        [*argv, *query["packages"]], env=ENVIRONMENT, capture_output=True, text=True
    )
    if done.returncode:
        print(f"apt-get remove: {done.stderr.strip()}", file=sys.stderr)
    return done.returncode
