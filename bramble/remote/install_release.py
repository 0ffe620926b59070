"""Install a release that was built elsewhere from an archive that is pulled, or that was sent here.

What is hashed is what is unpacked; the release appears by one rename when the archive and each of its
programs are what the builder recorded. Whatever interrupts it leaves nothing but its own folder
behind, which the next run throws away. A pull that fails is an answer, as the archive can be sent
then; it is a few MiB, so none is resumed.
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

from bramble.remote import atomic, owned

RESERVE_BYTES = 128 * 1024**2
CHUNK_BYTES = 1024 * 1024
STALL_S = 10
PULL_S = 300
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES)


class InstallError(Exception):
    """A release that is not installed; its text says what to do."""


class PullError(Exception):
    """An archive that one source did not give."""


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


def pull(source, archive, wanted, size):
    """Write what a source gives to `archive`, hashed on its way; refuse anything but the wanted."""
    # What listens in this network is asked without the proxy that leads out of it.
    handlers = [urllib.request.ProxyHandler({})] if source["direct"] else []
    began, made, done = time.monotonic(), hashlib.sha256(), 0
    with (
        urllib.request.build_opener(*handlers).open(source["url"], timeout=STALL_S) as answer,
        open(archive, "wb", buffering=0) as file,
        # Hashing is as much work as all the rest, so it has a processor of its own.
        ThreadPoolExecutor(1) as hasher,
    ):
        hashed = hasher.submit(made.update, b"")
        # read1 gives what has arrived: read would wait for a whole chunk, however slowly it comes.
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


def pull_from_any(query, archive, told):
    """Try the sources in turn; True once one gave the archive. Which one, or why none, is `told`."""
    for source in query["sources"]:
        began, name = time.monotonic(), urllib.parse.urlsplit(source["url"]).netloc
        try:
            pull(source, archive, query["sha256"], query["archive_size"])
        except (PullError, OSError, ValueError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) in DISK_ERRORS:
                raise
            told["problems"].append(f"{name}: {str(error) or type(error).__name__}")
        else:
            told |= {"source": name, "seconds": time.monotonic() - began}
            return True
    return False


def copy(upload, archive, wanted):
    """Take over what was sent: the copy is ours alone while we hash it."""
    owned.taken(upload, archive)
    found = sha256(archive)
    if found != wanted:
        raise InstallError(
            f"what arrived has sha256 {found} and the store says {wanted}; run again, or "
            "remove the release with `bramble engine prune` and build it anew"
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
    """Refuse an archive that holds another release, or programs that are not those recorded."""
    with open(os.path.join(new, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    if manifest["release"] != os.path.basename(release):
        raise InstallError(f"the archive holds release {manifest['release']}")
    for name, wanted in manifest["binaries"].items():
        if sha256(os.path.join(new, "bin", name)) != wanted:
            raise InstallError(f"{name} is not the program that the manifest tells of")


def install(query, told):
    """Have the archive, unpack, verify, place; one at a time on a node. Nothing where none came."""
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
                told["source"] = "ssh"
            elif not pull_from_any(query, archive, told):
                return
            unpack(archive, new)
            verify(new, release)
            # A damaged one of this name is where the new one was then, and goes: it may be running.
            atomic.place(new, release)
        finally:
            shutil.rmtree(new, ignore_errors=True)


def main(query):
    """Install `release`, and say where it came from; what was sent is removed in any case."""
    told: dict[str, object] = {"source": None, "seconds": 0.0, "problems": []}
    try:
        install(query, told)
    except (InstallError, OSError, ValueError, LookupError) as error:
        name = os.path.basename(query["release"])
        print(f"release {name} was not installed: {error}", file=sys.stderr)
        return 1
    finally:
        if query["upload"] and os.path.lexists(query["upload"]):
            os.unlink(query["upload"])
    print(json.dumps(told))
    return 0
