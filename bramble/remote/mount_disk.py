"""Mount a file system at its folder as /etc/fstab says, and verify it in the kernel's table.

With `mounted` false, unmount it instead, unless something uses the folder.
"""

import os
import subprocess
import sys

from bramble.remote import atomic, mount_place


def run(*argv):
    """Return a command's output; raise Refused with its own words where it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise mount_place.Refused(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def free_folder(folder, device):
    """Unmount what is left at the folder of disks that are gone; refuse what is another's."""
    while True:
        problem = mount_place.refusal(folder, device)
        if problem:
            raise mount_place.Refused(problem)
        seen = mount_place.mounted_at(folder)
        if seen is None or not seen.is_gone():
            return
        # The disk was pulled out and came back under another name.
        run("umount", "--lazy", folder)


def of_device(folder, device):
    """Return what is mounted at the folder, if it is of this device; else None."""
    seen = mount_place.mounted_at(folder)
    return seen if seen and seen.number == mount_place.number_of(device) else None


def mount(folder, uuid, options):
    """Mount the file system, or remount it with the options that it lacks."""
    device = mount_place.device_of(uuid)
    free_folder(folder, device)
    if of_device(folder, device) is None:
        os.makedirs(folder, exist_ok=True)
        run("mount", folder)
    seen = of_device(folder, device)
    if seen and not set(options) <= seen.options:
        run("mount", "-o", ",".join(["remount", *options]), folder)
        seen = of_device(folder, device)
    if seen is None:
        raise mount_place.Refused(
            f"{device} was mounted at {folder}, and is not there; see `journalctl -k -n 30`"
        )
    if not set(options) <= seen.options:
        raise mount_place.Refused(
            f"{folder} is mounted with {','.join(sorted(seen.options))}, without {options}"
        )


def unmount(folder, uuid):
    """Unmount the file system of this UUID, or what is left of it; remove the folder if it is empty."""
    while seen := mount_place.mounted_at(folder):
        if seen.is_gone():
            run("umount", "--lazy", folder)
        elif seen.fstype == "autofs" or seen.number in mount_place.numbers_of(uuid):
            run("umount", folder)
        else:
            raise mount_place.Refused(
                f"{seen.source} ({seen.fstype}) is mounted at {folder}, which is not the SSD; unmount "
                "it, and run again"
            )
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def main(query):
    """Mount or unmount the folder as `query` says."""
    try:
        # systemd mounts and waits for disks by the fstab that it read last.
        run("systemctl", "daemon-reload")
        if query["mounted"]:
            mount(query["folder"], query["uuid"], query["options"])
            # A mounted file system is complete: its format must not be repeated any more.
            atomic.remove(query["note"])
        else:
            unmount(query["folder"], query["uuid"])
    except (mount_place.Refused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
