"""The initramfs of machines, made natively: busybox, a few modules and one script."""

import lzma
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bramble.virtual.commands import run
from bramble.virtual.errors import VirtualPiError

RECIPE = Path(__file__).parent / "recipe"
MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
"""What the kernel must load before it can read the root disk."""


def kernel_of(tree: Path) -> str:
    """Return the version of the one kernel in a root tree."""
    found = sorted(place.name for place in (tree / "usr/lib/modules").iterdir())
    if len(found) != 1:
        raise VirtualPiError(f"{tree} must hold one kernel, found are {found or 'none'}")
    return found[0]


def module_files(listings: Iterable[str]) -> list[str]:
    """Return module files in the order to load them in, once each, from what modprobe shows."""
    lines = (line.split() for listing in listings for line in listing.splitlines())
    return list(dict.fromkeys(words[1] for words in lines if words and words[0] == "insmod"))


def copy_module(file: Path, target: Path) -> None:
    """Copy a module as busybox loads it; Debian 13 compresses them, `target` names it without .xz."""
    if file.suffix != ".xz":
        shutil.copy(file, target)
        return
    with lzma.open(file) as source, target.open("wb") as module:
        shutil.copyfileobj(source, module)


def make(tree: Path, target: Path) -> None:
    """Write the initramfs for the kernel of a root tree."""
    kernel = kernel_of(tree)
    run("depmod", "-b", str(tree), kernel)
    shown = ("modprobe", "-d", str(tree), "-S", kernel, "--show-depends")
    listings = [run(*shown, module) for module in MODULES]
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        base = Path(folder)
        for name in ("bin", "modules"):
            (base / name).mkdir()
        shutil.copy(tree / "usr/bin/busybox", base / "bin/busybox")
        (base / "bin/sh").symlink_to("busybox")
        shutil.copy(RECIPE / "init", base / "init")
        (base / "init").chmod(0o755)
        for turn, file in enumerate(module_files(listings)):
            name = Path(file).name.removesuffix(".xz")
            copy_module(Path(file), base / f"modules/{turn:02d}-{name}")
        pack = 'cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 > "$2"'
        run("sh", "-c", pack, "sh", folder, str(target))
