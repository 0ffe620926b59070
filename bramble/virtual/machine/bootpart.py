"""The boot partition of a machine that is off, read and written with mtools."""

from pathlib import Path

from bramble.virtual.commands import run, succeeds
from bramble.virtual.machine import disk


class BootPartition:
    """Its files by name, in the FAT of a boot card."""

    def __init__(self, card: Path) -> None:
        self._fat = disk.fat(card)

    def holds(self, name: str) -> bool:
        return succeeds(["mdir", "-b", "-i", self._fat, f"::/{name}"])

    def read(self, name: str) -> str:
        """Return a text file, empty where there is none, as a Pi starts without a cmdline.txt."""
        return run("mtype", "-i", self._fat, f"::/{name}") if self.holds(name) else ""

    def remove(self, name: str) -> None:
        if self.holds(name):
            run("mdel", "-i", self._fat, f"::/{name}")

    def rename(self, name: str, other: str) -> None:
        """Rename a file over another."""
        if self.holds(name):
            self.remove(other)
            run("mren", "-i", self._fat, f"::/{name}", f"::/{other}")
