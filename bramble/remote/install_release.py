"""Install a release that was built elsewhere, from an archive that is downloaded or was sent here.

What is hashed is what is unpacked; the release appears by one rename once the archive and each of its
programs match the builder's record. An interruption leaves only a temporary folder behind, which the
next run removes. A failed download is a result, as the archive can be sent then; it is a few MiB, so
none is resumed.
"""

import errno
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from bramble.remote import atomic, engine_home, owned

RESERVE_BYTES = 128 * 1024**2
CHUNK_BYTES = 1024 * 1024
STALL_S = 10
PULL_S = 300
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES)


class InstallError(Exception):
    """A release that is not installed; the text says what to do."""


class PullError(Exception):
    """An archive that one source did not give."""


def sha256(path):
    """Return the sha256 of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_space(folder, needed):
    """Refuse to begin an installation that would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE_BYTES:
        raise InstallError(
            f"{folder} has {free >> 20} MiB free and the release needs {needed >> 20}, with "
            f"{RESERVE_BYTES >> 20} kept; free some, or give /opt/bramble a larger disk"
        )


def pull(source, archive, wanted, size):
    """Download `archive` from a source, hashing as it arrives; raise PullError for another one."""
    # Hosts of this network are asked without a proxy.
    handlers = [urllib.request.ProxyHandler({})] if source["direct"] else []
    began, made, done = time.monotonic(), hashlib.sha256(), 0
    with (
        urllib.request.build_opener(*handlers).open(source["url"], timeout=STALL_S) as answer,
        open(archive, "wb", buffering=0) as file,
        # Hashing takes as long as all the rest, so it has a thread of its own.
        ThreadPoolExecutor(1) as hasher,
    ):
        hashed = hasher.submit(made.update, b"")
        # read1 returns what has arrived: read would wait for a whole chunk, however slowly it comes.
        while chunk := answer.read1(CHUNK_BYTES):
            hashed.result()
            hashed = hasher.submit(made.update, chunk)
            file.write(chunk)
            done += len(chunk)
            if done > size:
                raise PullError(f"it gives more than the {size} bytes of the archive")
            if time.monotonic() - began > PULL_S:
                raise PullError(f"it gave {done} of {size} bytes in {PULL_S} s")
    if done < size:
        raise PullError(f"it ended after {done} of {size} bytes")
    if made.hexdigest() != wanted:
        raise PullError(f"what it gives has sha256 {made.hexdigest()} and the store says {wanted}")


def pull_from_any(query, archive, reported):
    """Try the sources in turn; return whether one gave the archive, and note in `reported` which."""
    for source in query["sources"]:
        began, name = time.monotonic(), urllib.parse.urlsplit(source["url"]).netloc
        try:
            pull(source, archive, query["sha256"], query["archive_size"])
        except (PullError, OSError, ValueError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise
            reported["problems"].append(f"{name}: {str(error) or type(error).__name__}")
        else:
            reported |= {"source": name, "seconds": time.monotonic() - began}
            return True
    return False


def copy(upload, archive, wanted):
    """Copy what was sent, so that nobody else can change it while it is hashed, and verify it."""
    owned.taken(upload, archive)
    found = sha256(archive)
    if found != wanted:
        raise InstallError(
            f"what arrived has sha256 {found} and the store says {wanted}; run again, or "
            "remove the release with `bramble engine prune` and build it again"
        )


def unpack(archive, new):
    """Unpack the verified archive into `new`."""
    done = subprocess.run(
        ["tar", "--extract", "--gzip", "--file", archive, "--directory", new, "--no-same-owner"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise InstallError(f"it could not be unpacked: {done.stderr.strip()}")
    os.unlink(archive)


def verify(new, release):
    """Refuse an archive with another release, or with programs other than the recorded ones."""
    with open(os.path.join(new, engine_home.MANIFEST), encoding="utf-8") as file:
        manifest = json.load(file)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("binaries"), dict):
        raise InstallError("its manifest lists no programs")
    if manifest["release"] != os.path.basename(release):
        raise InstallError(f"the archive holds release {manifest['release']}")
    for name, wanted in manifest["binaries"].items():
        if sha256(os.path.join(new, "bin", name)) != wanted:
            raise InstallError(f"{name} is not the program that the manifest lists")


def install(query, reported):
    """Get the archive, unpack, verify and place it; one at a time on a node."""
    release = query["release"]
    folder = os.path.dirname(release)
    new = os.path.join(folder, f".{os.path.basename(release)}.new")
    archive = os.path.join(new, "archive")
    atomic.make_folder(folder)
    with open(os.path.join(query["home"], "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(new, ignore_errors=True)
        try:
            check_space(folder, query["size"] + query["archive_size"])
            os.makedirs(new)
            if query["upload"]:
                copy(query["upload"], archive, query["sha256"])
                reported["source"] = "ssh"
            elif not pull_from_any(query, archive, reported):
                return
            unpack(archive, new)
            verify(new, release)
            # A damaged release of this name is now at the temporary name, and is removed.
            atomic.place(new, release)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def main(query):
    """Install `release`, and print where it came from; remove what was sent in any case."""
    reported: dict[str, object] = {"source": None, "seconds": 0.0, "problems": []}
    try:
        install(query, reported)
    except (InstallError, OSError, ValueError, LookupError) as error:
        name = os.path.basename(query["release"])
        print(f"release {name} was not installed: {error}", file=sys.stderr)
        return 1
    finally:
        if query["upload"] and os.path.lexists(query["upload"]):
            os.unlink(query["upload"])
    print(json.dumps(reported))
    return 0
