"""The disks of a machine that is off, judged on copies: what a power cut left there.

The block device is read, and not the node asked, whose kernel repairs what it finds. As systemd does at
a boot, fsck goes over each file system first; then it is mounted read-only.
"""

import errno
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bramble.roles.storage.disks import LABEL
from bramble.virtual.machine import disk, qemu
from tests.nodes.fleet import wait_until

Tree = dict[str, bytes]
LINK = b"-> "
SMALL_BYTES = 1 << 20
KEPT = ("etc", "opt/bramble", "var/lib/bramble")
ROOT = (f"--offset={disk.ROOT.offset_bytes}", f"--sizelimit={disk.ROOT.size_kib * 1024}")
"""Where the root file system lies on a card, for losetup."""
OURS = ("/opt/bramble/", "/var/lib/bramble/")
FIRMWARE = "/boot/firmware"
BOOT_TEXTS = ("cmdline.txt", "config.txt")
NOT_WHOLE = re.compile(
    r"/\.[^/]+\.bramble$|\.part$|/\.[^/]+\.new/|/engine/work/|/releases/[^/]+/bin/|\.gguf$"
)
"""What has a temporary name, and what is judged by a checksum."""
MODELS = "var/lib/bramble/models"
RELEASES = "opt/bramble/engine/releases"
BUSY = os.strerror(errno.EBUSY)


@dataclass
class Left:
    """What was left on a machine's disks: files by path, and what is wrong already."""

    when: str
    files: Tree = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def left(files: qemu.Files, when: str, scratch: Path) -> Left:
    """Judge copies of the boot card and of the SSD; they themselves stay as they are."""
    card, ssd = scratch / "card.img", scratch / "ssd.img"
    subprocess.run(["cp", "--sparse=always", files.boot_card, card], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", files.ssd, ssd], check=True)
    found = read(card, when, scratch)
    read_ssd(ssd, found, scratch)
    return found


def read(card: Path, when: str, scratch: Path) -> Left:
    """Judge a boot card, which is as before in the end."""
    found = Left(when)
    with checked(card, found, scratch / "root", *ROOT) as top:
        for folder in KEPT:
            found.files |= tree(top, top / folder)
        found.problems += [*damaged_releases(top), *damaged_models(top / MODELS)]
    found.files |= boot_files(card, scratch, found)
    return found


def read_ssd(ssd: Path, found: Left, scratch: Path) -> None:
    """Judge an SSD, which must be whole where it has its label."""
    said = subprocess.run(["blkid", "-p", "-o", "value", "-s", "LABEL", ssd], capture_output=True)
    if said.stdout.decode().strip() == LABEL:
        with checked(ssd, found, scratch / "ssd") as top:
            found.problems += damaged_models(top)


@contextmanager
def checked(image: Path, found: Left, folder: Path, *place: str):
    """Have fsck go over a file system as it does at a boot, mount it, and yield its folder.

    What fsck leaves would be mended by a person: it counts as a problem.
    """
    undo = folder.with_suffix(".undo")
    with attached(image, *place) as device:
        for check, fine in ((["e2fsck", "-p", "-z", undo], (0, 1)), (["e2fsck", "-fn"], (0,))):
            done = subprocess.run([*check, device], capture_output=True, text=True)
            if done.returncode not in fine:
                found.problems.append(f"{found.when}: {check}: {done.returncode}: {done.stdout}")
        with mounted(device, folder, "ro") as place:
            yield place
        if undo.exists():
            wait_until(lambda: undone(undo, device), 120, f"{device} free again")
            undo.unlink()


def undone(undo: Path, device: str) -> bool:
    """Take back what fsck wrote; return False where somebody still has the device.

    Who makes a private mount namespace has each mount there for a while.
    """
    done = subprocess.run(["e2undo", undo, device], capture_output=True, text=True)
    if BUSY in done.stderr:
        return False
    assert done.returncode == 0, done.stderr
    return True


@contextmanager
def writable(card: Path, folder: Path):
    """Mount the root file system of a card; yield its folder."""
    with attached(card, *ROOT) as device, mounted(device, folder, "rw") as place:
        yield place


@contextmanager
def attached(image: Path, *place: str):
    """Have a device of an image, or of a piece of it; yield its path."""
    argv = ["losetup", "--find", "--show", *place, image]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def mounted(device: str, folder: Path, how: str):
    """Mount a device while this lasts; yield where.

    It hangs below a shared mount: so it goes from the mount namespaces that began meanwhile too, such as
    those of containers, which last as long as these and would keep the device.
    """
    place = folder / "mounted"
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "--make-shared", "none", folder], check=True)
    try:
        place.mkdir()
        subprocess.run(["mount", "-t", "ext4", "-o", how, device, place], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def tree(top: Path, folder: Path) -> Tree:
    """What lies below a folder, by paths from the top; large files are left out."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[f"/{path.relative_to(top)}"] = LINK + os.readlink(path).encode()
        elif path.is_file() and path.stat().st_size <= SMALL_BYTES:
            found[f"/{path.relative_to(top)}"] = path.read_bytes()
    return found


def boot_files(card: Path, scratch: Path, found: Left) -> Tree:
    """What the firmware would read, before any fsck; then fsck must find it mendable, and the same."""
    fat = scratch / "boot.img"
    cut(card, fat, disk.BOOT.offset_bytes, disk.BOOT.size_kib * 1024)
    before = {name: fat_file(fat, name) for name in BOOT_TEXTS}
    done = subprocess.run(["fsck.fat", "-a", fat], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        found.problems.append(f"fsck.fat -a: {done.returncode}: {done.stdout}")
    for name, content in before.items():
        if content != fat_file(fat, name):
            found.problems.append(f"{found.when}: fsck.fat changes {name}")
    return {f"{FIRMWARE}/{name}": text for name, text in before.items() if text is not None}


def cut(whole: Path, part: Path, offset: int, size: int) -> None:
    """Copy a piece of an image, without its holes."""
    with whole.open("rb") as old, part.open("wb") as new:
        new.truncate(size)
        place, end = offset, offset + size
        while place < end:
            try:
                place = os.lseek(old.fileno(), place, os.SEEK_DATA)
            except OSError:  # a hole to the end
                return
            until = min(os.lseek(old.fileno(), place, os.SEEK_HOLE), end)
            if place < until:
                new.seek(place - offset)
                old.seek(place)
                new.write(old.read(until - place))
            place = until


def fat_file(image: Path, name: str) -> bytes | None:
    done = subprocess.run(["mtype", "-i", image, f"::/{name}"], capture_output=True)
    return done.stdout if done.returncode == 0 else None


def damaged_releases(top: Path):
    """Releases that have their manifest, and not all that it lists."""
    for manifest in (top / RELEASES).glob("[!.]*/manifest.json"):
        listed = json.loads(manifest.read_bytes() or b"{}").get(
            "binaries", {"a whole manifest": None}
        )
        for name, digest in listed.items():
            program = manifest.parent / "bin" / name
            if not program.is_file() or sha256(program) != digest:
                yield f"{manifest.parent.name} has its manifest and not {name}"


def damaged_models(folder: Path):
    """Models below a folder that have their stamp, and are not what it names."""
    for stamp in folder.rglob("*.gguf.json"):
        model = stamp.with_suffix("")
        digest = json.loads(stamp.read_bytes() or b"{}").get("sha256")
        if model.is_file() and sha256(model) != digest:
            yield f"{model.name} has its stamp and is another file"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_a_node(archive: bytes) -> Tree:
    """The files of a tar that a node made of itself, at rest."""
    found: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.issym():
                found[f"/{member.name}"] = LINK + member.linkname.encode()
            elif member.isreg() and member.size <= SMALL_BYTES:
                found[f"/{member.name}"] = tar.extractfile(member).read()
    return found


def texts(query) -> set[bytes]:
    """Every text in what a step was sent with: what it may write, and the paths that it writes to."""
    if isinstance(query, str):
        return {query.encode()}
    inner = query.values() if isinstance(query, dict) else query if isinstance(query, list) else ()
    return set().union(*map(texts, inner))


def half_written(found: Left, first: Tree, last: Tree, sent: set[bytes]):
    """What of a deploy's files is neither as it was, nor as it became, nor as a step was to write it."""
    for path in sorted({*first, *last, *found.files}):
        ours = path.encode() in sent or path.startswith(OURS)
        if not ours or NOT_WHOLE.search(path):
            continue
        content = found.files.get(path)
        known = (first.get(path), last.get(path), first.get(path.removesuffix(".bak")))
        # A link is there or not: one to where a step said is whole.
        if content in known or (content is not None and content.removeprefix(LINK) in sent):
            continue
        if content is not None and path.startswith(OURS) and is_json(content):
            continue  # a note with times in it: of another run than the last
        yield f"{found.when}: {path} is neither old nor new, but {content!r:.200}"


def is_json(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
