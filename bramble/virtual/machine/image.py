"""The image that machines start from: kernel, initramfs and boot card, made once, kept by content."""

import ast
import hashlib
import shutil
import tempfile
from functools import partial
from pathlib import Path

from bramble.virtual import paths, releases, rootfs
from bramble.virtual.apt import AptHost
from bramble.virtual.backend import Progress
from bramble.virtual.machine import binfmt, disk, initrd

RECIPE = Path(__file__).parent / "recipe"
KERNEL, INITRD, DISK = "vmlinuz", "initrd.img", "disk.img"
_MAKERS = ("disk.py", "initrd.py")
"""The modules whose code decides what an image is."""


def packages(release: str) -> tuple[str, ...]:
    """Return the packages of a container, without what no test on a machine needs, and a kernel."""
    absent = releases.lines_of(RECIPE / "absent.txt")
    shared = (package for package in releases.packages(release) if package not in absent)
    return (*shared, *releases.lines_of(RECIPE / "packages.txt"))


def cache_key(apt: AptHost, release: str, recipe: Path = RECIPE) -> str:
    """Name an image by all that goes into it; the kernel's version is the mirror's of that day."""
    digest = hashlib.sha256(rootfs.cache_key(apt, release).encode())
    rootfs.add_files(digest, recipe)
    for maker in _MAKERS:
        digest.update(_code_of(Path(__file__).parent / maker).encode())
    return digest.hexdigest()[:16]


def _code_of(module: Path) -> str:
    """Return a module's code without docstrings and comments, which change no image."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def ensure(apt: AptHost, release: str, on_progress: Progress) -> Path:
    """Return the folder of a release's image; make it first if the cache does not have it."""
    target = paths.cache_dir() / "machine" / cache_key(apt, release)
    return rootfs.made_once(target, partial(_make, apt, release, on_progress))


def _make(apt: AptHost, release: str, on_progress: Progress, target: Path) -> None:
    on_progress(f"making the {release} image of machines (about 7 minutes on a quiet machine)")
    target.mkdir()
    binfmt.ensure()
    with tempfile.TemporaryDirectory(prefix="bramble-image-", dir=rootfs.work_parent()) as work:
        # apt downloads as the user _apt, who must be able to get there.
        Path(work).chmod(0o755)
        tree = Path(work) / "root"
        rootfs.run_mmdebstrap(command(apt, release, tree), work, on_progress)
        rootfs.write_apt_settings(apt, release, tree)
        on_progress("making the initramfs and the boot card")
        shutil.copy(tree / f"boot/vmlinuz-{initrd.kernel_of(tree)}", target / KERNEL)
        initrd.make(tree, target / INITRD)
        disk.make(target / DISK, tree)


def command(apt: AptHost, release: str, tree: Path) -> list[str]:
    """Return the mmdebstrap call for arm64, whose packages configure themselves under emulation."""
    making = rootfs.command(
        apt,
        release,
        tree,
        architecture=("--architectures=arm64",),
        include=packages(release),
        recipe=RECIPE,
    )
    # The kernel's package must not make an initramfs: that is emulated, and takes for ever.
    return ["env", "INITRD=No", *making]
