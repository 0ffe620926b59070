"""A container's files as its host sees them: without the node's help, and without its word."""

import hashlib
import os
import re
import stat
from pathlib import Path

from bramble.virtual.container import cgroups

FOLDERS = (
    "boot/firmware",
    "etc",
    "home",
    "mnt",
    "opt",
    "root",
    "srv",
    "tmp",
    "usr/local",
    "var/lib/bramble",
    "var/tmp",
)
"""Where bramble writes, and where something of its own could be left."""
SUDOS = ".sudo_as_admin_successful"
"""What sudo leaves with who uses it."""


def init(name):
    """The node's first process, as this computer numbers it."""
    for pid in cgroups.members(name):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        if re.search(r"^NSpid:.*\s1$", status, re.M):
            return pid
    raise LookupError(f"{name} has no first process")


def files(name):
    """Every file and link below FOLDERS: what it is, by its path on the node."""
    root = Path(f"/proc/{init(name)}/root")
    found = {}
    for folder in FOLDERS:
        for place, folders, names in os.walk(root / folder):
            paths = [Path(place) / name for name in (*names, *folders) if name != SUDOS]
            for path in paths:
                if not path.is_dir() or path.is_symlink():
                    found[f"/{path.relative_to(root)}"] = _state(path)
    return found


def _state(path):
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return f"-> {path.readlink()}"
        kind = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
        if not stat.S_ISREG(status.st_mode):
            return kind
        with path.open("rb") as file:
            return f"{kind} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except FileNotFoundError:  # it was there a moment ago
        return None


def text(name, path):
    """A file of the node."""
    return Path(f"/proc/{init(name)}/root{path}").read_text(encoding="utf-8")


def serving(name):
    """What each llama-server of the node runs: its program, that program's sha256, its arguments."""
    found = []
    for pid in cgroups.members(name):
        exe = Path(f"/proc/{pid}/exe")
        try:
            path = str(exe.readlink())
            if not path.endswith("/bin/llama-server"):
                continue
            argv = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
            with exe.open("rb") as program:
                found.append((path, hashlib.file_digest(program, "sha256").hexdigest(), argv))
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
    return found
