"""Write log2ram's logs back to the disk, verify that, and remove the package.

Its own script succeeds even if its copy fails, and its package removes the folder with the disk's
logs, so both are checked here before the next step.
"""

import contextlib
import filecmp
import os
import shutil
import subprocess
import sys

from bramble.remote import apt, atomic

WRITERS = ("rsyslog.service",)
MOUNTINFO = "/proc/self/mountinfo"


class RefusedError(Exception):
    """A finding that forbids going on."""


def must(*argv):
    """Run a command; raise RefusedError where it fails."""
    code, said = apt.ask(*argv)
    if code:
        raise RefusedError(f"{' '.join(argv)} ended with {code}: {said}")


def mounts():
    """Return the (target, source) of each mount."""
    with open(MOUNTINFO, encoding="utf-8") as file:
        lines = [line.partition(" - ") for line in file]
    return [(left.split()[4], right.split()[1]) for left, _, right in lines]


def holding(folders):
    """Return those of the folders that are in log2ram's memory."""
    return [folder for folder in folders if (folder, "log2ram") in mounts()]


def bound(folders):
    """Return the mount points of the disk's own copies of these folders, where they are mounted."""
    targets = [target for target, _ in mounts()]
    return [on_disk(folder) for folder in folders if on_disk(folder) in targets]


def on_disk(folder):
    """Return where log2ram keeps a folder's copy on the disk."""
    parent, name = os.path.split(folder)
    return os.path.join(parent, f"hdd.{name}")


def write_back(memory, disk):
    """Copy all files in memory to the disk; log2ram itself copies what is written meanwhile."""
    for place, folders, files in os.walk(memory):
        below = os.path.join(disk, os.path.relpath(place, memory))
        for name in (*folders, *files):
            copy(os.path.join(place, name), os.path.join(below, name))


def copy(source, target):
    """Copy one entry with its owner, mode and times; an identical file stays."""
    if os.path.islink(source):
        with contextlib.suppress(FileExistsError):
            os.symlink(os.readlink(source), target)
        return
    status = os.stat(source)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif os.path.isfile(source):
        if os.path.exists(target) and filecmp.cmp(source, target, shallow=False):
            return
        temporary = atomic.beside(target)
        atomic.unlink(temporary)
        shutil.copyfile(source, temporary)
        dress(temporary, source, status)
        atomic.sync(temporary)
        atomic.rename(temporary, target)
        return
    else:
        return  # sockets and pipes are not logs
    dress(target, source, status)


def dress(target, source, status):
    """Give a copy the owner, mode and times of its original."""
    os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)


def writing(folders):
    """Return the processes that have a file below these folders open for writing, by name and PID."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        # A process may end while it is looked at, and a container's root may not look at all of them.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                path = os.readlink(f"/proc/{pid}/fd/{number}")
                inside = any(path.startswith(f"{folder}/") for folder in folders)
                if inside and flags(pid, number) & (os.O_WRONLY | os.O_RDWR):
                    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                        found.add(f"{file.read().strip()} ({pid})")
    return sorted(found)


def flags(pid, number):
    """Return the flags that a file was opened with."""
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8") as file:
        lines = dict(line.split(":", 1) for line in file if ":" in line)
    return int(lines["flags"].strip(), 8)


def stop(folders):
    """Stop log2ram without loss: pause rsyslog and the journal, and refuse any other writer."""
    paused = [unit for unit in WRITERS if apt.ask("systemctl", "-q", "is-active", unit)[0] == 0]
    try:
        if paused:
            must("systemctl", "stop", *paused)
        # The journal continues in /run until its folder is back on the disk.
        must("journalctl", "--relinquish-var")
        others = writing(folders)
        if others:
            raise RefusedError(
                f"{', '.join(others)} would continue writing to memory that nobody sees; stop it (`sudo "
                "systemctl stop ...`), run again, and start it"
            )
        for folder in folders:
            if not bound([folder]):
                raise RefusedError(
                    f"{on_disk(folder)} is not mounted: where is {folder} on the disk?"
                )
            write_back(folder, on_disk(folder))
        must("systemctl", "stop", "log2ram-daily.timer", "log2ram.service")
    finally:
        must("journalctl", "--flush")
        if paused:
            # Its socket may have started it meanwhile, with its files in memory.
            must("systemctl", "restart", *paused)


def main(query):
    """Write back what is in memory, stop log2ram, and purge it once nothing of it is mounted."""
    try:
        folders = holding(query["folders"])
        if folders:
            stop(folders)
        still = [*holding(query["folders"]), *bound(("/var/log", *query["folders"]))]
        if still:
            raise RefusedError(f"still mounted: {', '.join(still)}; reboot, and run again")
        code, said = apt.run("purge", "log2ram")
        if code:
            raise RefusedError(f"apt could not remove it: {apt.cause(said)}")
    except (RefusedError, OSError, subprocess.SubprocessError) as error:
        print(f"log2ram was left installed: {error}.", file=sys.stderr)
        return 1
    for folder in ("/var/log", *query["folders"]):
        with contextlib.suppress(OSError):  # not there, or not empty: then it is not ours to remove
            os.rmdir(on_disk(folder))
    return 0
