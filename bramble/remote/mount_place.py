"""What is mounted at a folder, and what forbids mounting there: checked before anything is changed.

Only remains of a disk that was pulled out may be unmounted. All else at the folder, including a
network file system or one in memory, is somebody's and stays.
"""

import os
import re
import subprocess

MOUNTINFO, BLOCKS = "/proc/self/mountinfo", "/sys/dev/block"


class Refused(Exception):
    """The reason why the folder is left as it is."""


class Mounted:
    """One mount: its device number, root folder, source, file system type and options."""

    def __init__(self, number, root, source, fstype, options):
        self.number, self.root, self.source = number, root, source
        self.fstype, self.options = fstype, options

    def is_gone(self):
        """Return whether its disk is gone from both the kernel and /dev."""
        return (
            self.root == "/"
            and self.source.startswith("/dev/")
            and not os.path.exists(self.source)
            and not os.path.exists(f"{BLOCKS}/{self.number}")
        )


def unescape(word):
    """Replace the octal escapes that the kernel writes for blanks in paths."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def mounted_at(folder):
    """Return what is mounted at a folder, or None; the last mount hides those before."""
    found = None
    with open(MOUNTINFO, encoding="utf-8") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            fields, (fstype, source, super_options) = left.split(), right.split(" ", 2)
            if unescape(fields[4]) == folder:
                options = {*fields[5].split(","), *super_options.strip().split(",")}
                found = Mounted(fields[2], fields[3], unescape(source), fstype, options)
    return found


def number_of(device):
    """Return a device's number as mountinfo writes it."""
    number = os.stat(device).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def devices_of(uuid):
    """Return the devices that have a file system of this UUID now."""
    argv = ["blkid", "-c", "/dev/null", "-t", f"UUID={uuid}", "-o", "device"]
    return subprocess.run(argv, capture_output=True, text=True).stdout.split()


def numbers_of(uuid):
    """Return the numbers of those devices, as mountinfo writes them."""
    return [number_of(device) for device in devices_of(uuid)]


def device_of(uuid):
    """Return the one device that has a file system of this UUID; raise Refused for none or several."""
    found = devices_of(uuid)
    if not found:
        raise Refused(f"no disk has the UUID {uuid} now: it is gone. Plug it in again.")
    if len(found) > 1:
        raise Refused(f"{' and '.join(found)} both have the UUID {uuid}: unplug the copy.")
    return found[0]


def refusal(folder, device):
    """Say why a device must not be mounted at a folder; return None where it may be, or is."""
    seen = mounted_at(folder)
    if seen and seen.fstype == "autofs":
        # systemd mounts there what fstab says once the folder is read.
        with os.scandir(folder):
            seen = mounted_at(folder)
    if seen is None:
        return covered(folder)
    if seen.number == number_of(device) or seen.fstype == "autofs" or seen.is_gone():
        return None
    return (
        f"{seen.source} ({seen.fstype}) is mounted at {folder}, and not {device}; unmount it, or set "
        "storage.ssd.mount to another folder"
    )


def covered(folder):
    """Say why a folder's own files forbid mounting there; return None where it has none."""
    hidden = os.listdir(folder) if os.path.isdir(folder) else []
    if not hidden:
        return None
    return (
        f"{folder} holds {', '.join(sorted(hidden)[:3])} on the boot disk, which the mount would hide; "
        "move that away"
    )
