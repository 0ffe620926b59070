"""Tell who changed files and when, as far as a node can: times, owners, packages, sudo's journal.

Of a package's file its checksum is compared with dpkg's own. Of sudo's lines those are told that
name one of the files, or that lie in the minutes before one of them was changed.
"""

import glob
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess

from bramble.remote import dpkg, reading

INFO = "/var/lib/dpkg/info"
WINDOW_S = 600
"""How long before a change its command may have begun: an editor is open for a while."""
AFTER_S = 5
MOST_LINES = 2000
MOST_TOLD = 300
MOST_BYTES = 64 * 1024 * 1024
MOST_CHARACTERS = 1000


def look(paths):
    """Return for each path that is there its owner, mode, times and package."""
    found = {path: one for path in paths if (one := state(path)) is not None}
    owners = packages(list(found))
    for path, one in found.items():
        name = owners.get(path)
        one["package"] = name
        one["as_packaged"] = as_packaged(path, name) if name else None
    return found


def state(path):
    """Return what the file system tells of a path; None where nothing is there."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return {
        "owner": reading.name_of(pwd.getpwuid, status.st_uid),
        "group": reading.name_of(grp.getgrgid, status.st_gid),
        "mode": stat.S_IMODE(status.st_mode),
        "modified_s": int(status.st_mtime),
        "changed_s": int(status.st_ctime),
    }


def packages(paths):
    """Return the package of each path that one has, by one call of dpkg-query."""
    names = {alias: path for path in paths for alias in aliases(path)}
    if not names:
        return {}
    done = subprocess.run(
        ["dpkg-query", "-S", *names],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        timeout=60,
    )
    found = {}
    for line in done.stdout.splitlines():
        owner, colon, path = line.partition(": ")
        if colon and path in names and not line.startswith("diversion by"):
            found[names[path]] = owner.split(", ")[0]
    return found


def aliases(path):
    """Return a path as packages may name it: /lib is a link to /usr/lib since Debian 12."""
    if path.startswith("/usr/lib/"):
        return (path, path.removeprefix("/usr"))
    return (path, f"/usr{path}") if path.startswith("/lib/") else (path,)


def as_packaged(path, package):
    """Tell whether a file has the checksum that dpkg has of it; None where it has none."""
    wanted = checksum(path, package)
    if wanted is None or not os.path.isfile(path) or os.path.getsize(path) > MOST_BYTES:
        return None
    with open(path, "rb") as file:
        return hashlib.md5(file.read(), usedforsecurity=False).hexdigest() == wanted


def checksum(path, package):
    """Return dpkg's md5 of a package's file, a conffile's too; None where it has none."""
    name, _, architecture = package.partition(":")
    lists = [*glob.glob(f"{INFO}/{glob.escape(name)}:{architecture or '*'}.md5sums")]
    for file in (f"{INFO}/{name}.md5sums", *lists):
        for line in (reading.read(file) or "").splitlines():
            md5, _, there = line.partition("  ")
            if f"/{there}" in aliases(path):
                return md5
    said = dpkg.said("dpkg-query", "-W", "-f", "${Conffiles}\n", package)
    rows = [line.split() for line in said.splitlines()]
    return next((row[1] for row in rows if len(row) > 1 and row[0] == path), None)


def sudo(paths, changes):
    """Return sudo's lines that name a path or precede a change, and when the journal begins."""
    argv = ["journalctl", "-q", "--no-pager", "-o", "json", "--output-fields=MESSAGE"]
    argv += ["-t", "sudo", "-r", "-n", str(MOST_LINES)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    rows = [row for line in done.stdout.splitlines() if (row := of_line(line))]
    told = [row for row in rows if bears(row, paths, changes)]
    return {"lines": told[:MOST_TOLD], "begins_s": begins(rows)}


def of_line(line):
    """Return the time and the message of one line of the journal that tells of a command."""
    entry = json.loads(line)
    message = entry.get("MESSAGE")
    if not isinstance(message, str) or "COMMAND=" not in message:
        return None
    at_s = int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000
    return {"at_s": at_s, "message": message[:MOST_CHARACTERS]}


def bears(row, paths, changes):
    """Tell whether a line of sudo's may have to do with one of the files."""
    return any(path in row["message"] for path in paths) or any(
        at_s - WINDOW_S <= row["at_s"] <= at_s + AFTER_S for at_s in changes
    )


def begins(rows):
    """Return when the journal begins; of one that was read in part, when that part does."""
    if len(rows) >= MOST_LINES:
        return rows[-1]["at_s"]
    argv = ["journalctl", "-q", "--no-pager", "-o", "short-unix"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        first = re.match(rb"[0-9]+", process.stdout.readline() if process.stdout else b"")
        process.kill()
    return int(first[0]) if first else None
