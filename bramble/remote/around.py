"""See what is on a node that no role plans: failed units, held packages, strange users and keys.

This judges and changes nothing.
"""

import base64
import binascii
import glob
import grp
import hashlib
import os
import pwd
import re
import stat
import subprocess

from bramble.remote import dpkg, reading

KEYS = ("authorized_keys", "authorized_keys2")
MOST_ENTRIES = 20_000
MOST_TOLD = 100
LIMIT_BYTES = 256 * 1024


def said(*argv):
    """Return a command's output in the C locale; raise where it fails or is missing."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def failed():
    """Return the names of the units that failed."""
    text = said("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full")
    return [line.split()[0] for line in text.splitlines() if line.split()]


def held():
    """Return the names of the packages that are held at their version."""
    text = dpkg.said("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\\t${Package}\\n")
    rows = (line.split("\t") for line in text.splitlines())
    return sorted({row[1] for row in rows if len(row) == 2 and row[0][:1] == "h"})


def holders(sockets):
    """Return the program, user and unit of each process that holds a listening socket."""
    found: dict[str, object] = {}
    for pid in sorted({int(one) for one in re.findall(r"\bpid=(\d+)", sockets)}):
        try:
            exe = os.readlink(f"/proc/{pid}/exe").removesuffix(reading.GONE)
            user = reading.name_of(pwd.getpwuid, os.stat(f"/proc/{pid}").st_uid)
        except OSError:
            continue  # it has ended
        unit = reading.cgroup(pid).rpartition("/")[2]
        found[str(pid)] = {"exe": exe, "user": user, "unit": unit}
    return found


def roots():
    """Return the names of all users with the number 0."""
    return [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == 0]


def keys():
    """Return the fingerprints of the keys that open each account, by the file that has them."""
    found: list[dict[str, object]] = []
    for entry in pwd.getpwall():
        for name in KEYS:
            path = os.path.join(entry.pw_dir, ".ssh", name)
            prints = fingerprints(path)
            if prints and not any(one["path"] == path for one in found):
                found.append({"user": entry.pw_name, "path": path, "fingerprints": prints})
    return found


def fingerprints(path):
    """Return the fingerprint of each key of an authorized_keys, as `ssh-keygen -l` tells it."""
    # A pipe, which anybody may have put there, would be waited for.
    if not os.path.isfile(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read(LIMIT_BYTES).splitlines()
    keys = [line for line in lines if not line.lstrip().startswith("#")]
    return [found for line in keys if (found := fingerprint_of(line))]


def fingerprint_of(line: str) -> str | None:
    """Return the fingerprint of the key in a line; None where there is none."""
    word = next((word for word in line.split() if word.startswith("AAAA")), None)
    if word is None:
        return None
    try:
        blob = base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except binascii.Error:
        return "a key that cannot be read"
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def loose(folders):
    """Return what below these folders others may write to, and folders that are not root's.

    `more` counts those that are not told one by one, and `whole` says whether all was looked at.
    """
    found: list[object] = []
    seen = 0
    for top in dict.fromkeys(os.path.realpath(path) for path in places(folders)):
        for path in below(top):
            seen += 1
            if seen > MOST_ENTRIES:
                return _told(found, whole=False)
            found += [entry] if (entry := loose_entry(path)) else []
    return _told(found, whole=True)


def _told(found, *, whole):
    return {"entries": found[:MOST_TOLD], "more": len(found[MOST_TOLD:]), "whole": whole}


def places(folders):
    """Return the folders, and what links right in them lead to: a model folder lies on the SSD."""
    for folder in folders:
        yield folder
        for path in sorted(glob.glob(f"{glob.escape(folder)}/*")):
            if os.path.islink(path) and os.path.isdir(path):
                yield path


def below(top):
    """Yield a folder and all that is in it, on its own file system, links not followed."""
    try:
        device = os.lstat(top).st_dev
    except FileNotFoundError:
        return
    for folder, names, files in os.walk(top):
        yield folder
        names[:] = [name for name in names if on(os.path.join(folder, name), device)]
        yield from (os.path.join(folder, name) for name in files)


def on(path, device):
    """Tell whether a folder is on this file system; one that goes meanwhile is not."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return status.st_dev == device and not stat.S_ISLNK(status.st_mode)


def loose_entry(path):
    """Return a path that others may write to, or a folder of another's; None for any other."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    is_folder = stat.S_ISDIR(status.st_mode)
    if not is_folder and not stat.S_ISREG(status.st_mode):
        return None
    if not status.st_mode & 0o022 and not (is_folder and status.st_uid):
        return None
    return {
        "path": path,
        "kind": "directory" if is_folder else "file",
        "mode": stat.S_IMODE(status.st_mode),
        "owner": reading.name_of(pwd.getpwuid, status.st_uid),
        "group": reading.name_of(grp.getgrgid, status.st_gid),
    }
