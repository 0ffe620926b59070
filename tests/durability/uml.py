"""A user-mode Linux with real disks, of which each can be had as it was at every instant."""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
KERNEL = "linux.uml"
NEEDED = (
    KERNEL,
    "gcc",
    "insmod",
    "mkfs.fat",
    "fsck.fat",
    "mcopy",
    "mkfs.ext4",
    "e2fsck",
    "debugfs",
)
MODULES = ("nls/nls_cp437", "nls/nls_ascii", "fat/fat", "fat/vfat")
HEAD = struct.Struct("<qqq")
# It only ends a hang.
LONGEST_S = 600


def missing() -> list[str]:
    """What this computer lacks for it."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [name for name in NEEDED if not shutil.which(name, path=path)]


@dataclass(frozen=True)
class Disk:
    """A disk's image, and where and how it is mounted, if it is."""

    image: Path
    mount: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Write:
    """What the kernel gave a disk at once."""

    disk: str
    offset: int
    content: bytes


@dataclass(frozen=True)
class Mark:
    """A word that the guest left between two writes."""

    word: str


class Recording:
    """All that was written while the cases ran, and what became of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "about.json").read_text())
        names = {int(inode): name for inode, name in about["disks"].items()}
        self.ends = {end["name"]: end for end in about["ends"]}
        self.events = list(_events(folder / "record", names, about["marks"]))

    def instants(
        self, case: str, disk: str, scratch: Path, reordered: bool
    ) -> Iterator[tuple[str, Path]]:
        """The disk's image at each instant of a case, with words for when that is.

        With `reordered` also those in which one write is still missing that was given to the disk
        since the last flush: it does not have to keep their order.
        """
        image, began = scratch / "now.img", False
        copy(self.folder / before(disk), image)
        since: list[tuple[Write, bytes]] = []
        for event in self.events:
            if isinstance(event, Mark):
                kind, _, name = event.word.partition(" ")
                since = []
                if name == case:
                    began, when = True, kind
                    yield when, _instant(image, [])
                    if kind == "settled":
                        return
            elif event.disk == disk:
                since.append((event, exchange(image, event.offset, event.content)))
                if began:
                    yield f"{when}, {event.offset:#x} written", _instant(image, [])
                for number in range(len(since) - 1) if began and reordered else ():
                    missing = since[number][0].offset
                    words = f"{when}, {event.offset:#x} written and {missing:#x} not yet"
                    yield words, _instant(image, since[number:])


def _instant(image: Path, unsure: list[tuple[Write, bytes]]) -> Path:
    """A copy of the image, in which the first of these writes is missing."""
    path = image.with_name("instant.img")
    copy(image, path)
    for number, (write, before) in enumerate(unsure):
        exchange(path, write.offset, write.content if number else before)
    return path


def exchange(image: Path, offset: int, content: bytes) -> bytes:
    """Write into an image; what was there before."""
    with image.open("r+b") as file:
        file.seek(offset)
        before = file.read(len(content))
        file.seek(offset)
        file.write(content)
    return before


def copy(source: Path, target: Path) -> None:
    """Copy an image and not its holes."""
    with source.open("rb") as old, target.open("wb") as new:
        place, size = 0, old.seek(0, os.SEEK_END)
        new.truncate(size)
        while place < size:
            try:
                place = os.lseek(old.fileno(), place, os.SEEK_DATA)
            except OSError:  # a hole to the end
                return
            end = os.lseek(old.fileno(), place, os.SEEK_HOLE)
            new.seek(place)
            while place < end:
                place += os.sendfile(new.fileno(), old.fileno(), place, end - place)


def before(disk: str) -> str:
    """The name of what a disk was at the beginning."""
    return f"before{disk.replace('/', '-')}.img"


def run(folder: Path, disks: dict[str, Disk], cases: list[dict], tools: dict[str, str]) -> None:
    """Boot once and run the cases one after another; `Recording(folder)` reads what was recorded."""
    for name, disk in disks.items():
        copy(disk.image, folder / before(name))
    modules = next(Path("/usr/lib/uml/modules").iterdir()) / "kernel" / "fs"
    job = {
        "modules": [f"{modules / name}.ko" for name in MODULES],
        "disks": [{"mount": disk.mount, "options": disk.options} for disk in disks.values()],
        "tools": tools,
        "cases": cases,
    }
    (folder / "job.json").write_text(json.dumps(job))
    marks = folder / "marks.img"
    marks.write_bytes(bytes(4096))
    said = _boot(folder, [*(disk.image for disk in disks.values()), marks])
    ends = [json.loads(line) for line in said]
    assert len(ends) == len(cases), (folder / "console").read_text()
    about = {
        "disks": {disk.image.stat().st_ino: name for name, disk in disks.items()},
        "marks": marks.stat().st_ino,
        "ends": ends,
    }
    (folder / "about.json").write_text(json.dumps(about))


def _boot(folder: Path, images: list[Path]) -> list[str]:
    """Run the kernel until the guest switches it off; the lines that the guest printed."""
    shim = folder / "recorder.so"
    compiler = ("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([*compiler, "-o", shim, HERE / "recorder.c", "-ldl"], check=True)
    argv = [KERNEL, "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"]
    argv += [f"ubd{number}={image}" for number, image in enumerate(images)]
    argv += ["con=null", "con0=null,fd:1", "con1=null", f"uml_dir={folder}/", "umid=uml"]
    argv += ["init=/usr/bin/python3", "--", str(HERE / "guest.py"), str(folder / "job.json")]
    environment = {**os.environ, "LD_PRELOAD": str(shim), "UML_RECORD": str(folder / "record")}
    with (folder / "console").open("w") as console:
        subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=LONGEST_S,
        )
    return [line for line in (folder / "console").read_text().splitlines() if line.startswith("{")]


def _events(path: Path, names: dict[int, str], marks: int) -> Iterator[Write | Mark]:
    record, place = path.read_bytes(), 0
    while place < len(record):
        inode, offset, size = HEAD.unpack_from(record, place)
        content = record[place + HEAD.size : place + HEAD.size + size]
        place += HEAD.size + size
        if inode == marks:
            yield Mark(content.rstrip(b"\0").decode())
        elif inode in names:
            yield Write(names[inode], offset, content)
