"""Replace /etc/fstab, unless findmnt finds new errors in it.

A wrong line can keep a headless node from booting. The new text was made from a look at the old one,
so it is written only while the old one is still there, which stays beside it, ending in .bak.
"""

import hashlib
import os
import re
import stat
import subprocess
import sys

from bramble.remote import atomic, mount_place


def problems(path):
    """Return findmnt's errors of a table, each with its folder, and the number of unreadable lines."""
    argv = ["findmnt", "--verify", "--tab-file", path]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    found, folder = set(), ""
    for line in done.stdout.splitlines():
        if line.startswith("/") or line.strip() in ("none", "swap"):
            folder = line.strip()
        elif "[E]" in line:
            found.add(f"{folder}: {line.split('[E]')[1].strip()}")
    broken = len(re.findall("parse error", done.stderr))
    return found, broken


def edit(path, was_sha256, text, folder, uuid):
    """Write `text` where the table still has the sha256; return the reason where it was not written.

    `folder` is where the new text mounts the file system of this UUID; None for none.
    """
    if not os.path.isfile(path) or os.path.islink(path):
        return f"there is no plain file {path}"
    with open(path, "rb") as file:
        before = file.read()
    if hashlib.sha256(before).hexdigest() != was_sha256:
        return f"{path} is not as it was seen, or not in UTF-8, and was left alone; run again"
    if folder:
        problem = mount_place.refusal(folder, mount_place.device_of(uuid))
        if problem:
            return f"{path} was left as it was: {problem}"
        atomic.make_folder(folder)
    status, content = os.stat(path), text.encode()
    like = (stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))
    trial = atomic.beside(path)
    atomic.stage(trial, content, *like)
    (old, old_broken), (new, new_broken) = problems(path), problems(trial)
    if new - old or new_broken > old_broken:
        os.unlink(trial)
        said = "; ".join(sorted(new - old)) or "a line that it cannot read"
        return (
            f"{path} was left as it was, as findmnt --verify has this against the new one: {said}"
        )
    try:
        atomic.write(f"{path}.bak", before, *like)
        atomic.rename(trial, path)
    except OSError:
        atomic.unlink(trial)
        raise
    return None


def main(query):
    """Edit the table, and have systemd reload it."""
    try:
        problem = edit(**query)
    except (mount_place.Refused, OSError) as error:
        problem = f"{query['path']} was left as it was: {error}"
    if problem is None:
        done = subprocess.run(["systemctl", "daemon-reload"], capture_output=True, text=True)
        problem = (
            done.stderr.strip() or "systemctl daemon-reload failed" if done.returncode else None
        )
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
