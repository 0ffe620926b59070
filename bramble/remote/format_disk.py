"""Make one ext4 file system on a whole disk, once it is proven that no data is lost by it.

A disk is formatted when it is blank (no signature, and zeros wherever it is read), when a person named
it for erasing, or when an earlier run was interrupted. That is known by a note on this node, written
before the first byte, and by a label that the file system has until it is complete: until then it was
never mounted.

Its name below /dev/disk/by-id must be unique: of two disks with one serial udev names one, and after a
reboot the other. All conditions are checked here once more, for every disk that is there now.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys

from bramble.remote import atomic, mount_place

BY_ID = "/dev/disk/by-id"
SAMPLE_BYTES = 1 << 20
SAMPLES = 64
BLKGETSIZE64 = 0x80081272


class Refused(Exception):
    """The reason why the disk is left as it is."""


def run(*argv):
    """Return a command's output; raise Refused with its own words where it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def is_named(erase, device):
    """Return whether the name of the disk to erase stands for this very device now."""
    return erase is not None and os.path.realpath(f"{BY_ID}/{erase}") == device


def device_of(name, size_bytes):
    """Return the device of a name; raise Refused where it is missing or has another size."""
    link = f"{BY_ID}/{name}"
    if not os.path.exists(link):
        raise Refused(
            f"{name} is gone: it was there when the node was looked at. Plug it in again."
        )
    device = os.path.realpath(link)
    if not stat.S_ISBLK(os.stat(device).st_mode):
        raise Refused(f"{link} is no block device")
    with claimed(device) as descriptor:
        found = size_of(descriptor)
    if found != size_bytes:
        raise Refused(
            f"{name} has {found} bytes, and {size_bytes} were seen: it is another disk now"
        )
    return device


@contextlib.contextmanager
def claimed(device):
    """Open the device exclusively, which the kernel refuses while it, or a part of it, is in use."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_EXCL)
    except OSError as error:
        raise Refused(
            f"{device} is in use (mounted, swap, LVM or RAID): {error.strerror}"
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def size_of(descriptor):
    """Return the size of a block device in bytes; of a plain file too, for tests."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fstat(descriptor).st_size
    return struct.unpack("Q", fcntl.ioctl(descriptor, BLKGETSIZE64, bytes(8)))[0]


def partitions(device):
    """Return the partitions that the kernel has of a device."""
    listed = json.loads(run("lsblk", "-J", "-l", "-o", "PATH,TYPE", device))["blockdevices"]
    return [entry["path"] for entry in listed if entry["type"] == "part"]


def disks():
    """Return every disk of the kernel: path, serial, model and transport."""
    columns = "PATH,TYPE,TRAN,MODEL,SERIAL,SIZE"
    listed = json.loads(run("lsblk", "-J", "-b", "-d", "-o", columns))["blockdevices"]
    return [entry for entry in listed if entry["type"] == "disk" and entry["size"]]


def links():
    """Return the device of each name below /dev/disk/by-id."""
    return {name: os.path.realpath(f"{BY_ID}/{name}") for name in os.listdir(BY_ID)}


def twin(name, device):
    """Say what else the name of a disk may stand for at another time; None where it is unique."""
    named, parts = links(), partitions(device)
    for link, path in named.items():
        if re.fullmatch(rf"{re.escape(name)}-part\d+", link) and path not in parts:
            return f"{link} is {path}, of another disk"
    known = {disk["path"]: disk for disk in disks()}
    mine = known.pop(device, None)
    for path, disk in known.items():
        nameless = path not in named.values()
        if mine and like(mine, disk) and (disk["serial"] or nameless):
            return f"{path} has the same model and serial"
    return None


def like(one, other):
    """Return whether udev would make the same name for two disks."""
    return all(one[name] == other[name] for name in ("tran", "model", "serial"))


def signatures(device):
    """Return each signature on the device and its partitions, in the words of wipefs."""
    found = []
    for path in [device, *partitions(device)]:
        said = run("wipefs", "-n", "-J", path)
        reported = json.loads(said)["signatures"] if said.strip() else []
        found += [f"{one['type']} at {one['offset']} of {path}" for one in reported]
    return found


def first_data(descriptor):
    """Return where the first byte that is not zero was read; None where all that was read is zeros.

    This reads the first and the last MiB and samples between them: what has no signature, such as a
    plain encrypted disk or one whose first blocks were wiped, shows there.
    """
    size = size_of(descriptor)
    last = max(size - SAMPLE_BYTES, 0)
    zeros = bytes(SAMPLE_BYTES)
    for place in sorted(
        {last * n // (SAMPLES - 1) // 4096 * 4096 for n in range(SAMPLES)} | {last}
    ):
        read = os.pread(descriptor, SAMPLE_BYTES, place)
        if read != zeros[: len(read)]:
            return place
    return None


def probed(device):
    """Return what blkid reads on the device itself, past its cache."""
    argv = ["blkid", "-p", "-o", "export", device]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def is_staged(device, staged):
    """Return whether the disk has our unfinished file system, which was never mounted."""
    if probed(device).get("LABEL") != staged:
        return False
    reported = run("dumpe2fs", "-h", device)
    fields = dict(line.split(":", 1) for line in reported.splitlines() if ":" in line)
    return fields.get("Mount count", "").strip() == "0"


def be_sure(query, device):
    """Raise Refused unless the name and the UUID are this disk's alone, and the folder is free."""
    other = twin(query["name"], device)
    if other:
        raise Refused(
            f"{query['name']} is not the name of one disk alone: {other}. Nothing is formatted; unplug "
            "one of them, or name a file system as UUID=... in storage.ssd.device"
        )
    own = {device, *partitions(device)}
    elsewhere = [path for path in mount_place.devices_of(query["uuid"]) if path not in own]
    if elsewhere:
        raise Refused(
            f"{elsewhere[0]} holds the file system {query['uuid']}, which bramble made for "
            f"{query['name']}, and that is {device} now. Nothing is formatted; unplug one of them"
        )
    problem = mount_place.refusal(query["folder"], device)
    if problem:
        raise Refused(problem)


def permit(query, device, note):
    """Raise Refused unless the disk may be formatted now."""
    found = signatures(device)
    if is_named(query["erase"], device) or (found and is_staged(device, query["staged"])):
        return
    if found:
        raise Refused(
            f"{query['name']} is not blank: {', '.join(found)}. It is left alone; set "
            f"storage.ssd.erase to {query['name']} if all that is on it may be lost"
        )
    if os.path.exists(note):
        with open(note, encoding="utf-8") as file:
            if file.read() == written(query):
                return
    with claimed(device) as descriptor:
        place = first_data(descriptor)
    if place is not None:
        raise Refused(
            f"{query['name']} has no signature but data at byte {place}: it may be encrypted or "
            f"damaged. It is left alone; set storage.ssd.erase to {query['name']} if all that is on "
            "it may be lost, or storage.ssd.device to another disk or to off"
        )


def written(query):
    """Return the note of a disk that is being formatted."""
    return json.dumps({name: query[name] for name in ("name", "size_bytes", "uuid")}) + "\n"


def is_made(query, device):
    """Return whether the complete file system is there already; udev may still have an older label."""
    found = probed(device)
    wanted = {"TYPE": "ext4", "UUID": query["uuid"], "LABEL": query["label"]}
    return all(found.get(name) == value for name, value in wanted.items())


def make(query, device):
    """Wipe the signatures, make the file system under its first label, and give it its final one."""
    for path in [*partitions(device), device]:
        run("wipefs", "-a", path)
    # No TRIM: bridges that lie about it hang or answer with errors (docs/roles/storage.md).
    options = ["-q", "-F", "-m", "1", "-E", "nodiscard", "-U", query["uuid"], "-L", query["staged"]]
    run("mkfs.ext4", *options, device)
    atomic.sync(device)
    run("e2label", device, query["label"])
    atomic.sync(device)
    if not is_made(query, device):
        raise Refused(
            f"{device} does not read back as it was written ({probed(device)}); is the disk failing?"
        )


def main(query):
    """Format the disk of `name`, after every check that it may be."""
    note = query["note"]
    try:
        device = device_of(query["name"], query["size_bytes"])
        if not is_made(query, device):
            be_sure(query, device)
            permit(query, device, note)
            atomic.make_folder(os.path.dirname(note))
            atomic.write(note, written(query), 0o644)
            make(query, device)
            atomic.remove(note)
    except (Refused, OSError, ValueError, LookupError) as error:
        print(error, file=sys.stderr)
        return 1
    if shutil.which("udevadm"):
        # udev makes the links by UUID, and gives lsblk the label. It misses a write that happens while
        # it still reads the disk, so it is triggered once more.
        argv = ["udevadm", "trigger", "--action=change", "--settle", device]
        subprocess.run(argv, capture_output=True)
    return 0
