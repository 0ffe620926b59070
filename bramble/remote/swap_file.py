"""Ensure a swap file on the SSD: complete, for this kernel's page size, and in use.

The file is made under a temporary name and renamed once it is complete. A file that is not a swap file
is never touched; a swap file of another size or page size holds no data, and is made again.
"""

import os
import stat
import subprocess
import sys

from bramble.remote import atomic, owned

SWAPS, MOUNTS = "/proc/swaps", "/proc/self/mountinfo"
# Their kernel drivers accept allocated, unwritten space as swap (swapon(8), NOTES).
FILE_SYSTEMS = ("ext4", "xfs")
PAGE_SIZES = (4096, 16384, 65536)
SIGNATURE = b"SWAPSPACE2"
# The model and its downloads lie on the same disk.
RESERVE_BYTES = 256 * 1024 * 1024


def run(*argv):
    """Run a command, and return its result even where it fails."""
    return subprocess.run(argv, capture_output=True, text=True)


def rows(path):
    """Return the lines of a file of /proc, as words."""
    with open(path, encoding="utf-8") as file:
        return [line.split() for line in file]


def priority_of(path):
    """Return the priority of an active swap; None where it is not active."""
    return next((int(row[4]) for row in rows(SWAPS)[1:] if row[0] == path), None)


def file_system(mount):
    """Return the type of the file system that is mounted there; None where none is."""
    found = [row[row.index("-") + 1] for row in rows(MOUNTS) if row[4] == mount]
    return found[-1] if found else None


def signed_for(path):
    """Return the page size that a swap file was made for; None where the file is none."""
    with open(path, "rb") as file:
        for size in PAGE_SIZES:
            file.seek(size - len(SIGNATURE))
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return size
    return None


def refusal(query):
    """Say why the swap file must not be made there; return None where it may."""
    path, mount = query["path"], query["mount"]
    if not path.startswith(f"{mount}/"):
        return (
            f"memory.swap_file.path is {path}, which is not below the SSD's mount point {mount}. "
            f"Set it to {mount}/swapfile, or storage.ssd.mount to the folder of that path"
        )
    kind = file_system(mount)
    if kind not in FILE_SYSTEMS:
        return (
            f"the SSD's file system is {kind}, which cannot hold a swap file; "
            f"{' or '.join(FILE_SYSTEMS)} is needed"
        )
    if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path):
        return f"the folder of {path} is not a plain one; give memory.swap_file.path without links"
    if not os.path.lexists(path):
        return None
    if not stat.S_ISREG(os.lstat(path).st_mode) or signed_for(path) is None:
        return (
            f"{path} is there and is no swap file, so it was left alone. Move it away, or set "
            "memory.swap_file.path to another name, and run again"
        )
    return None


def as_wanted(query):
    """Return whether the file is there, complete, and of this kernel's page size."""
    path = query["path"]
    if not os.path.lexists(path):
        return False
    seen = os.stat(path)
    whole = seen.st_size == query["size_bytes"] and seen.st_blocks * 512 >= seen.st_size
    private = (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (os.geteuid(), 0o600)
    return whole and private and signed_for(path) == os.sysconf("SC_PAGE_SIZE")


def make(query):
    """Make the file where there is room for it; return the reason where there is not."""
    path, size = query["path"], query["size_bytes"]
    folder, temporary = os.path.dirname(path), atomic.beside(path)
    if why := owned.have(folder):
        return why
    atomic.unlink(temporary)
    there = os.stat(path).st_blocks * 512 if os.path.lexists(path) else 0
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize + there
    if free < size + RESERVE_BYTES:
        return (
            f"{folder} has {free >> 20} MiB free, and the swap file takes {size >> 20} MiB with "
            f"{RESERVE_BYTES >> 20} MiB to spare. Make room, or lower memory.swap_file.size_mib"
        )
    if there:
        if priority_of(path) is not None and (problem := end(path)):
            return problem
        os.unlink(path)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.posix_fallocate(descriptor, 0, size)
        done = run("mkswap", temporary)
        if done.returncode:
            raise OSError(f"mkswap: {done.stderr.strip()}")
        os.fsync(descriptor)
        atomic.rename(temporary, path)
    except OSError:
        atomic.unlink(temporary)
        raise
    finally:
        os.close(descriptor)
    return None


def end(path):
    """Stop using a file as swap; return the reason where RAM cannot take what is swapped out there."""
    done = run("swapoff", path)
    return f"{path} stays in use: {done.stderr.strip()}" if done.returncode else None


def use(query):
    """Make systemd use the file, now and at every boot; return the reason where it is not used then."""
    unit, path = query["unit"], query["path"]
    run("systemctl", "daemon-reload")
    done = run("systemctl", "enable", unit)
    if done.returncode:
        return f"systemctl enable {unit}: {done.stderr.strip()}"
    atomic.sync_etc()
    if priority_of(path) == query["priority"]:
        return None
    if priority_of(path) is not None and (problem := end(path)):
        return problem
    run("systemctl", "reset-failed", unit)
    done = run("systemctl", "restart", unit)
    if done.returncode or priority_of(path) != query["priority"]:
        said = run("journalctl", "-u", unit, "-n", "10", "--no-pager", "-o", "cat").stdout
        return f"{unit} did not start: {done.stderr.strip()}\n{said}"
    return None


def main(query):
    """Make the file at `path` if it is not as wanted, and use it."""
    mount = query["mount"]
    if mount is None or not os.path.ismount(mount):
        where = f"nothing is mounted at {mount}" if mount else "storage.ssd.device is off"
        print(f"no swap file is made: {where}", file=sys.stderr)
        return 1 if query["required"] else 0
    try:
        problem = refusal(query)
        if problem is None and not as_wanted(query):
            problem = make(query)
        problem = problem or use(query)
    except OSError as error:
        problem = f"{query['path']} could not be made: {error}"
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
