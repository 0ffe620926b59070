"""The root of a container: its own files over the read-only layers that it shares."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from bramble.virtual.commands import run, succeeds


def mount(layers: Sequence[str], upper: Path, work: Path, root: Path) -> None:
    """Mount the node's root; `volatile` where the kernel has it, as fsync takes most of the time."""
    # After an unclean end this marker makes the kernel refuse; virtual Pis may lose a write.
    shutil.rmtree(work / "work", ignore_errors=True)
    for folder in (upper, work, root):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"noatime,lowerdir={':'.join(layers)},upperdir={upper},workdir={work}"
    command = ["mount", "-t", "overlay", "overlay", str(root), "-o"]
    if not succeeds([*command, f"volatile,{options}"]):
        run(*command, options)
