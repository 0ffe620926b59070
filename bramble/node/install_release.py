"""Install a release that was built elsewhere from the archive that was sent to this node.

The archive is copied first, so that what is hashed is what is unpacked; the release appears by one
rename when the archive and each of its programs are what the builder recorded. Whatever interrupts
it leaves nothing but its own folder behind, which the next run throws away.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess

RESERVE_BYTES = 128 * 1024**2


class InstallError(Exception):
    """A release that is not installed; its text says what to do."""


def sha256(path):
    """The sha256 of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_space(folder, needed):
    """Refuse to begin what would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE_BYTES:
        raise InstallError(
            f"{folder} has {free >> 20} MiB free and the release needs {needed >> 20}, with "
            f"{RESERVE_BYTES >> 20} kept; free some, or give /opt/bramble a larger disk"
        )


def unpack(query, new):
    """Unpack the verified archive into `new`."""
    archive = os.path.join(new, "archive")
    shutil.copyfile(query["upload"], archive)
    found = sha256(archive)
    if found != query["sha256"]:
        raise InstallError(
            f"what arrived has sha256 {found} and the store says {query['sha256']}; run again, or "
            "remove the release with `bramble engine prune` and build it anew"
        )
    done = subprocess.run(
        ["tar", "--extract", "--gzip", "--file", archive, "--directory", new, "--no-same-owner"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise InstallError(f"it could not be unpacked: {done.stderr.strip()}")
    os.unlink(archive)


def verify(new, release):
    """Refuse an archive that holds another release, or programs that are not those recorded."""
    with open(os.path.join(new, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    if manifest["release"] != os.path.basename(release):
        raise InstallError(f"the archive holds release {manifest['release']}")
    for name, wanted in manifest["binaries"].items():
        if sha256(os.path.join(new, "bin", name)) != wanted:
            raise InstallError(f"{name} is not the program that the manifest tells of")


def place(new, release):
    """Give the whole release its name; a damaged one of this name goes aside, as it may be running."""
    old = f"{new}.old"
    shutil.rmtree(old, ignore_errors=True)
    os.sync()
    if os.path.exists(release):
        os.rename(release, old)
    os.rename(new, release)
    os.sync()
    shutil.rmtree(old, ignore_errors=True)


def install(query):
    """Unpack, verify, place; one at a time on a node."""
    release = query["release"]
    folder = os.path.dirname(release)
    new = os.path.join(folder, f".{os.path.basename(release)}.new")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(query["home"], "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(new, ignore_errors=True)
        try:
            check_space(folder, query["size"])
            os.makedirs(new)
            unpack(query, new)
            verify(new, release)
            place(new, release)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def main(query):
    """Install the release of `query`; the archive that was sent is removed in any case."""
    try:
        install(query)
    except (InstallError, OSError, ValueError, LookupError) as error:
        print(f":: release {os.path.basename(query['release'])} was not installed: {error}")
        return 1
    finally:
        if os.path.exists(query["upload"]):
            os.unlink(query["upload"])
    print(f":: installed {query['release']}")
    return 0
