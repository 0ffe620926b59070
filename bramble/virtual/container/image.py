"""The root file system that all containers share, read-only: made once, kept by content."""

import subprocess
import tempfile
from functools import partial
from pathlib import Path

from bramble.virtual import paths, rootfs
from bramble.virtual.apt import AptHost
from bramble.virtual.backend import Progress


def ensure(apt: AptHost, release: str, on_progress: Progress) -> Path:
    """Return the root file system of a release; make it first if the cache does not have it."""
    target = paths.cache_dir() / "rootfs" / rootfs.cache_key(apt, release)
    return rootfs.made_once(target, partial(_make, apt, release, on_progress))


def _make(apt: AptHost, release: str, on_progress: Progress, target: Path) -> None:
    on_progress(f"making the root file system of {release} (about 45 s on a quiet machine)")
    with tempfile.TemporaryDirectory(prefix="bramble-rootfs-", dir=rootfs.work_parent()) as work:
        # apt downloads as the user _apt, who must be able to get there.
        Path(work).chmod(0o755)
        fresh = Path(work) / "root"
        rootfs.run_mmdebstrap(rootfs.command(apt, release, fresh), work, on_progress)
        rootfs.write_apt_settings(apt, release, fresh)
        on_progress("copying the root file system into the cache")
        subprocess.run(["cp", "-a", str(fresh), str(target)], check=True)
