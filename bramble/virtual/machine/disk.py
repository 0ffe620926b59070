"""The boot card of a machine: a disk image with a Pi's two partitions, made without mounting it.

It is raw, not qcow2: so the boot partition's files can be read and written by mtools at each
power-on (the host's kernel may not know FAT), and a machine's copy is a sparse file all the same.
"""

from dataclasses import dataclass
from pathlib import Path

from bramble.virtual.commands import run

SECTOR_BYTES = 512
MIB = 1 << 20
SIZE_BYTES = 8192 * MIB
DISK_ID = "4e639091"
"""The id that the PARTUUIDs of fstab and cmdline.txt begin with."""


@dataclass(frozen=True)
class Partition:
    """A piece of the disk, in sectors."""

    number: int
    start: int
    sectors: int
    code: str

    @property
    def offset_bytes(self) -> int:
        return self.start * SECTOR_BYTES

    @property
    def size_kib(self) -> int:
        return self.sectors * SECTOR_BYTES // 1024

    @property
    def uuid(self) -> str:
        return f"{DISK_ID}-{self.number:02x}"


BOOT = Partition(1, 4 * MIB // SECTOR_BYTES, 512 * MIB // SECTOR_BYTES, "c")
ROOT = Partition(
    2, BOOT.start + BOOT.sectors, SIZE_BYTES // SECTOR_BYTES - BOOT.start - BOOT.sectors, "83"
)


def table() -> str:
    """Return the partition table as sfdisk reads it."""
    rows = (f"start={p.start}, size={p.sectors}, type={p.code}" for p in (BOOT, ROOT))
    return "\n".join(["label: dos", f"label-id: 0x{DISK_ID}", *rows]) + "\n"


def boot_command(image: Path) -> list[str]:
    """Return the call that makes the FAT of the boot partition."""
    shape = ["-F", "32", "-n", "bootfs", f"--offset={BOOT.start}"]
    return ["mkfs.vfat", *shape, str(image), str(BOOT.size_kib)]


def root_command(image: Path, tree: Path) -> list[str]:
    """Return the call that makes the root file system of a tree; its tables now, not in the guest."""
    extended = f"offset={ROOT.offset_bytes},lazy_itable_init=0,lazy_journal_init=0"
    shape = ["-q", "-L", "rootfs", "-E", extended, "-d", str(tree)]
    return ["mkfs.ext4", *shape, str(image), f"{ROOT.size_kib}k"]


def make(image: Path, tree: Path) -> None:
    """Make a whole disk of a root tree; what lies in its /boot/firmware goes to the FAT."""
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    rules = image.with_suffix(".sfdisk")
    rules.write_text(table())
    run("sh", "-c", 'sfdisk --quiet "$1" < "$2"', "sh", str(image), str(rules))
    rules.unlink()
    run(*boot_command(image))
    for source in sorted((tree / "boot/firmware").iterdir()):
        run("mcopy", "-i", fat(image), str(source), "::/")
        source.unlink()
    run(*root_command(image, tree))


def fat(image: Path) -> str:
    """Return the boot partition as mtools names it."""
    return f"{image}@@{BOOT.offset_bytes}"
