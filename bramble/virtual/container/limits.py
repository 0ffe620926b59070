"""Limits of the host's kernel that many nodes at once run into."""

from collections.abc import Callable
from pathlib import Path

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 1024
"""All nodes count as the host's root, and each uses about ten: twenty pass the usual 128."""


def ensure(on_progress: Callable[[str], None], inotify: Path = INOTIFY) -> None:
    """Raise a limit that is too low, until this machine restarts, and report it."""
    found = int(inotify.read_text())
    if found < INOTIFY_WANTED:
        inotify.write_text(f"{INOTIFY_WANTED}\n")
        on_progress(f"raised fs.inotify.max_user_instances from {found} to {INOTIFY_WANTED}")
