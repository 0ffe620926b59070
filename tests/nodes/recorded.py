"""What a machine gives its boot card, in order, so that the card can be had as it was at any instant.

QEMU itself records it: its driver blklogwrites writes the log of Linux's dm-log-writes. A program of
QEMU's name that comes first in PATH has it do so at each boot, and keeps the card as it was before.
"""

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bramble.virtual.machine.qemu import PROGRAM

SECTOR_BYTES = 512
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872
FLUSH, DISCARD = 1, 4
PIECE_BYTES = 1 << 20

WRAPPER = """#!/usr/bin/python3
import json, os, pathlib, subprocess, sys
argv, folder = sys.argv[1:], pathlib.Path({folder!r})
on = not (folder / "stop").exists()
for at, (option, value) in enumerate(zip(argv, argv[1:])):
    if on and option == "-drive" and "id=card" in value.split(","):
        card = dict(word.split("=", 1) for word in value.split(","))["file"]
        number = len(list(folder.glob("*.log")))
        before, log = folder / f"{{number:02}}.img", folder / f"{{number:02}}.log"
        subprocess.run(["cp", "--sparse=always", card, before], check=True)
        log.touch()
        # Flushes reach the log and not this computer's disk.
        unsafe = {{"direct": False, "no-flush": True}}
        argv[at:at + 2] = ["-blockdev", json.dumps({{
            "driver": "blklogwrites", "node-name": "card", "discard": "unmap",
            "cache": {{"direct": False, "no-flush": False}},
            "log": {{"driver": "file", "filename": str(log), "cache": unsafe}},
            "file": {{"driver": "raw", "cache": unsafe, "discard": "unmap", "file": {{
                "driver": "file", "filename": card, "cache": unsafe, "discard": "unmap"}}}}}})]
os.execv({program!r}, [{program!r}, *argv])
"""


def install(folder: Path, path: str) -> str:
    """Put the program into a folder, where the logs will be; return a PATH that begins with it."""
    real = shutil.which(PROGRAM, path=path)
    assert real
    program = folder / PROGRAM
    program.write_text(WRAPPER.format(folder=str(folder), program=real), encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}:{path}"


def stop(folder: Path) -> None:
    """Have later boots not recorded, and forget those that were."""
    (folder / "stop").touch()
    for path in (*folder.glob("*.log"), *folder.glob("*.img")):
        path.unlink()


@dataclass(frozen=True)
class Write:
    """What the card was given, or, without a size, that it was to have all of it so far."""

    offset: int
    size: int
    place: int
    """Where its bytes are in the log; -1 where they are zeros."""
    flush: bool


def writes(log: Path) -> Iterator[Write]:
    """Yield what a log holds, to its end: a machine without power counted no more."""
    with log.open("rb") as file:
        head = file.read(SUPER.size)
        if len(head) < SUPER.size:
            return
        magic, _, _, sector = SUPER.unpack(head)
        assert (magic, sector) == (MAGIC, SECTOR_BYTES)
        place, end = sector, os.fstat(file.fileno()).st_size
        while place + sector <= end:
            file.seek(place)
            at, sectors, flags, _ = ENTRY.unpack(file.read(ENTRY.size))
            place += sector
            if not (sectors or flags):
                return
            if sectors or flags & FLUSH:
                bytes_at = -1 if flags & DISCARD else place
                yield Write(at * sector, sectors * sector, bytes_at, bool(flags & FLUSH))
            place += 0 if flags & DISCARD else sectors * sector


def power_cuts(
    recording: Path, image: Path, count: int, choice: random.Random
) -> Iterator[tuple[str, Path]]:
    """Bring a card to instants of each boot, evenly spread; yield it, with words for when that is.

    A disk may have done any of what it was given since its last flush: it has done some of it here.
    """
    boots = [(log, list(intervals(log))) for log in sorted(recording.glob("*.log"))]
    total = sum(len(each) for _, each in boots)
    begun = 0
    for log, each in boots:
        subprocess.run(["cp", "--sparse=always", log.with_suffix(".img"), image], check=True)
        with log.open("rb") as held, image.open("r+b", buffering=0) as card:
            for number, interval in enumerate(each):
                # Whole multiples of the step between two instants.
                if (begun + number) * count // total != (begun + number + 1) * count // total:
                    some = [one for one in interval if one.place >= 0 and choice.random() < 0.5]
                    old = [exchange(card, held, write) for write in some]
                    words = f"{len(some)} of {len(interval)} writes after flush {number}"
                    yield f"boot {log.stem}, {words} of {len(each)}", image
                    for write, before in zip(reversed(some), reversed(old), strict=True):
                        put(card, write.offset, before)
                for write in interval:
                    give(card, held, write)
        begun += len(each)


def intervals(log: Path) -> Iterator[list[Write]]:
    """Yield what was given between two flushes."""
    since: list[Write] = []
    for write in writes(log):
        if write.size:
            since.append(write)
        if write.flush and since:
            yield since
            since = []
    yield since


def exchange(card: BinaryIO, log: BinaryIO, write: Write) -> bytes:
    """Write onto a card; return what was there before."""
    card.seek(write.offset)
    before = card.read(write.size)
    give(card, log, write)
    return before


def give(card: BinaryIO, log: BinaryIO, write: Write) -> None:
    """Write onto a card what a log holds."""
    for done in range(0, write.size, PIECE_BYTES):
        size = min(write.size - done, PIECE_BYTES)
        log.seek(max(write.place, 0) + done)
        put(card, write.offset + done, log.read(size) if write.place >= 0 else bytes(size))


def put(card: BinaryIO, offset: int, content: bytes) -> None:
    card.seek(offset)
    card.write(content)
