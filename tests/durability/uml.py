"""A user-mode Linux with real disks, of which each can be had as it was at every instant."""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
JOURNAL_COMMIT = struct.pack(">II", 0xC03B3998, 2)
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

    @property
    def commits(self) -> bool:
        """Whether ext4's journal commits by it: the kernel flushes the disk before it and after it."""
        return self.content.startswith(JOURNAL_COMMIT)


@dataclass(frozen=True)
class Mark:
    """A word that the guest left between two writes."""

    word: str


Lost = Literal["", "at flushes", "at writes"]
FLUSH = Mark("flush")
Pending = tuple[Write, bytes]
"""A write since the last flush, and what was there before it."""


class Recording:
    """All that was written while the cases ran, and what became of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "about.json").read_text())
        names = {int(inode): name for inode, name in about["disks"].items()}
        self.ends = {end["name"]: end for end in about["ends"]}
        self.events = list(_events(folder / "record", names, about["marks"]))

    def instants(
        self, case: str, disk: str, scratch: Path, lost: Lost
    ) -> Iterator[tuple[str, Path]]:
        """The disk's image at each instant of a case, with words for when that is.

        A disk does not have to keep the order of what it was given since its last flush. So with `lost`
        at flushes there are also those before each flush in which one such write is missing, or is alone
        there; with `lost` at writes also those after each write in which one is missing.
        """
        image, when = scratch / "now.img", ""
        copy(self.folder / before(disk), image)
        since: list[Pending] = []
        for event in self.events:
            is_mark = isinstance(event, Mark)
            if not is_mark and event.disk != disk:
                continue
            if event == FLUSH or (not is_mark and event.commits):
                if when and lost:
                    yield from _reordered(f"{when}, before a flush", image, since)
                since = []
            if not is_mark:
                since.append((event, exchange(image, event.offset, event.content)))
                if when:
                    yield f"{when}, {event.offset:#x} written", _instant(image, since)
                for number in range(len(since) - 1) if when and lost == "at writes" else ():
                    words = f"{when}, {event.offset:#x} written and {_at(since, number)} not yet"
                    yield words, _instant(image, since, missing={number})
                if event.commits:
                    since = []
                continue
            kind, _, name = event.word.partition(" ")
            if kind == "begin":
                since = []  # all was synced, and a disk has had the time
            if name == case:
                when = kind
                yield when, _instant(image, since)
                if kind == "settled":
                    if lost:
                        yield from _reordered(when, image, since)
                    return


def _reordered(when: str, image: Path, since: list[Pending]) -> Iterator[tuple[str, Path]]:
    """The image without one of the writes since the last flush, and with one of them alone."""
    all_of_them = set(range(len(since)))
    for number in all_of_them if len(since) > 1 else ():
        yield f"{when}, {_at(since, number)} not yet", _instant(image, since, {number})
        alone = all_of_them - {number}
        yield f"{when}, {_at(since, number)} alone", _instant(image, since, alone)


def _at(since: list[Pending], number: int) -> str:
    return f"{since[number][0].offset:#x}"


def _instant(image: Path, since: list[Pending], missing: Set[int] = frozenset()) -> Path:
    """A copy of the image, in which some of the writes since the last flush are missing."""
    path = image.with_name("instant.img")
    copy(image, path)
    if missing:
        for write, before in reversed(since):
            exchange(path, write.offset, before)
        for number, (write, _) in enumerate(since):
            if number not in missing:
                exchange(path, write.offset, write.content)
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
