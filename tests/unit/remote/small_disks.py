"""Real file systems of a few MiB, which fill up as a node's card does."""

import contextlib
import subprocess

KINDS = {"tmpfs": "none", "ext4": "loop"}


@contextlib.contextmanager
def mounted(kind, folder, mib):
    """A file system of this kind and size at `folder` while the block runs."""
    folder.mkdir()
    if kind == "tmpfs":
        argv = ["mount", "-t", "tmpfs", "-o", f"size={mib}M,mode=0755", "none", folder]
    else:
        image = folder.with_name(f"{folder.name}.img")
        with image.open("wb") as file:
            file.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        argv = ["mount", "-o", "loop", image, folder]
    subprocess.run(argv, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
