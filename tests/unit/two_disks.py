"""Two real disks that the node's programs see and nobody else: loop devices in a mount namespace.

Kernel, ext4, lsblk, blkid, wipefs and mount are the real ones. sysfs is covered by a small one in
which the loop devices are sda and sdb on USB, with whatever serials a test gives them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bramble.remote import COMMAND, program

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")
SIZE = 64 << 20
NAMES = ("sda", "sdb")


class TwoDisks:
    """sda and sdb, which keep what is on them from one program to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mnt = folder, folder / "mnt/ssd"
        self.mnt.mkdir(parents=True)
        self.loops = {name: self._attach(name) for name in NAMES}
        self.serials = dict.fromkeys(NAMES, "0123456789ABCDEF")
        self.links: dict[str, str] = {}
        self.fstab = ""
        self._play_systemd()

    def image(self, name: str) -> Path:
        """The file that a disk is."""
        return self.folder / f"{name}.img"

    def _attach(self, name: str) -> str:
        with self.image(name).open("wb") as file:
            file.truncate(SIZE)
        argv = ["losetup", "--find", "--show", str(self.image(name))]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def detach(self) -> None:
        """Give the loop devices back."""
        for loop in self.loops.values():
            subprocess.run(["losetup", "--detach", loop], check=True)

    def number(self, name: str) -> str:
        """A disk's device number."""
        number = os.stat(self.loops[name]).st_rdev
        return f"{os.major(number)}:{os.minor(number)}"

    def is_blank(self, name: str) -> bool:
        """Whether every byte of a disk is zero."""
        with self.image(name).open("rb") as file:
            return not any(any(block) for block in iter(lambda: file.read(1 << 20), b""))

    def mkfs(self, name: str, *options: str) -> None:
        """An ext4 file system that somebody made on a disk."""
        subprocess.run(["mkfs.ext4", "-q", "-F", *options, self.loops[name]], check=True)

    def _play_systemd(self) -> None:
        """systemctl is not there to be asked."""
        stub = self.folder / "bin/systemctl"
        stub.parent.mkdir()
        stub.write_text("#!/bin/sh\nexit 0\n")
        stub.chmod(0o755)

    def _write_sysfs(self) -> Path:
        place = self.folder / "sys"
        shutil.rmtree(place, ignore_errors=True)
        for folder in ("devices", "block", "class", "dev", "bus/scsi/devices"):
            (place / folder).mkdir(parents=True)
        for count, name in enumerate(NAMES):
            scsi = f"usb{count}/{count}-1/{count}-1:1.0/host{count}/target{count}:0:0/{count}:0:0:0"
            words = {
                "type": "0",
                "vendor": "JMicron",
                "model": "Generic",
                "serial": self.serials[name],
            }
            files = {f"{scsi}/{word}": text for word, text in words.items()}
            numbers = {
                "dev": self.number(name),
                "size": str(SIZE // 512),
                "ro": "0",
                "removable": "0",
            }
            files |= {f"{name}/{word}": text for word, text in numbers.items()}
            files |= {f"{name}/queue/rotational": "0", f"{name}/queue/logical_block_size": "512"}
            for path, text in files.items():
                file = place / "devices" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{text}\n")
            (place / "devices" / name / "device").symlink_to(f"../{scsi}")
            (place / "devices" / name / "subsystem").symlink_to("/sys/class/block")
            for folder, link, up in (
                ("block", name, ".."),
                ("class", name, "../.."),
                ("dev", self.number(name), "../.."),
            ):
                (place / folder / link).symlink_to(f"{up}/devices/virtual/block/{name}")
            target = f"../../../devices/virtual/block/{scsi}"
            (place / f"bus/scsi/devices/{count}:0:0:0").symlink_to(target)
        return place

    def _script(self) -> str:
        place = self._write_sysfs()
        rows = [f"{self.number(n).replace(':', ' ')} {SIZE // 1024} {n}" for n in NAMES]
        (place / "partitions").write_text("\n".join(["major minor  #blocks  name", "", *rows, ""]))
        (self.folder / "fstab").write_text(self.fstab)
        dev = self.folder / "dev"
        dev.mkdir(exist_ok=True)
        lines = [f"set -e; mount -t tmpfs dev {dev}; mkdir -p {dev}/disk/by-id"]
        for name, minor in (("null", 3), ("zero", 5), ("urandom", 9)):
            lines.append(f"mknod {dev}/{name} c 1 {minor}")
        lines += [f"mknod {dev}/{n} b {self.number(n).replace(':', ' ')}" for n in NAMES]
        lines += [f"ln -s ../../{n} '{dev}/disk/by-id/{link}'" for link, n in self.links.items()]
        bound = {
            "devices": "/sys/devices/virtual/block",
            **{"block": "/sys/block", "class": "/sys/class/block", "dev": "/sys/dev/block"},
            **{"bus": "/sys/bus", "partitions": "/proc/partitions"},
        }
        lines += [f"mount --bind {place / name} {target}" for name, target in bound.items()]
        # blkid's cache is the computer's, and knows another test's sdb.
        lines += ["mkdir -p /run/blkid; mount -t tmpfs blkid /run/blkid"]
        lines += [f"mount --bind {self.folder}/fstab /etc/fstab", f"mount --rbind {dev} /dev"]
        return "\n".join(lines)

    def run(self, name: str, query: dict[str, object], before: str = ":", after: str = ":"):
        """A program of the node's among these disks, with a shell's words before and after it."""
        script = f"{self._script()}\n{before}\nset +e\n{COMMAND}\ncode=$?\n{after}\nexit $code"
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            input=program(name, query),
            env={"PATH": f"{self.folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"},
            capture_output=True,
            text=True,
            timeout=120,
        )
