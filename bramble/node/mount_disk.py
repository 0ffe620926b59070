"""Mount a file system at its folder as /etc/fstab says, and prove by the kernel's table that it is.

With `mounted` false it is unmounted instead; a folder that something uses is then refused.
"""

import contextlib
import os
import re
import subprocess
import sys


class Refused(Exception):
    """Why the folder is left as it is."""


def run(*argv):
    """A command's output; its own words when it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise Refused(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def unescape(word):
    """The kernel writes blanks in paths as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def mounted_at(folder):
    """The device number, the source and the options of what is mounted at a folder, None for nothing."""
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            fields, (_, source, super_options) = left.split(), right.split(" ", 2)
            if unescape(fields[4]) == folder:
                options = {*fields[5].split(","), *super_options.strip().split(",")}
                found = (fields[2], unescape(source), options)
    return found


def device_of(uuid):
    """The one device that has a file system of this UUID."""
    argv = ["blkid", "-c", "/dev/null", "-t", f"UUID={uuid}", "-o", "device"]
    done = subprocess.run(argv, capture_output=True, text=True)
    found = done.stdout.split()
    if not found:
        raise Refused(f"no disk has the UUID {uuid} now: it is gone. Plug it in again.")
    if len(found) > 1:
        raise Refused(f"{' and '.join(found)} both have the UUID {uuid}: unplug the copy.")
    return found[0]


def number_of(device):
    """A device's number as mountinfo writes it."""
    number = os.stat(device).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def free_folder(folder, device):
    """Unmount what is mounted at the folder of a disk that is gone; refuse what is another's."""
    seen = mounted_at(folder)
    while seen and seen[0] != number_of(device):
        if os.path.exists(seen[1]) and number_of(seen[1]) == seen[0]:
            raise Refused(f"{seen[1]} is mounted at {folder}, and not {device}; unmount it")
        # The disk was pulled out and came back under another name.
        run("umount", "--lazy", folder)
        seen = mounted_at(folder)
    return seen


def mount(folder, uuid, options):
    """Mount, or give what is mounted the options that it lacks."""
    device = device_of(uuid)
    seen = free_folder(folder, device)
    if seen is None:
        os.makedirs(folder, exist_ok=True)
        hidden = os.listdir(folder)
        if hidden:
            raise Refused(
                f"{folder} holds {', '.join(sorted(hidden)[:3])} on the boot disk, which the mount "
                "would hide; move that away"
            )
        run("mount", folder)
        seen = mounted_at(folder)
    if seen and not set(options) <= seen[2]:
        run("mount", "-o", ",".join(["remount", *options]), folder)
        seen = mounted_at(folder)
    if seen is None or seen[0] != number_of(device):
        raise Refused(
            f"{device} was mounted at {folder}, and is not there; see `journalctl -k -n 30`"
        )
    if not set(options) <= seen[2]:
        raise Refused(f"{folder} is mounted with {','.join(sorted(seen[2]))}, without {options}")


def unmount(folder):
    """Unmount the folder, and remove it where nothing is in it."""
    while mounted_at(folder):
        run("umount", folder)
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def main(query):
    """Bring the folder to what `query` says."""
    try:
        # systemd mounts and waits for disks by what it read of fstab.
        run("systemctl", "daemon-reload")
        if query["mounted"]:
            mount(query["folder"], query["uuid"], query["options"])
            # What is mounted is whole: a format that was cut off is no longer to be done again.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(query["note"])
        else:
            unmount(query["folder"])
    except (Refused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
