"""Replace files so that a power cut leaves the whole old one or the whole new one, never another thing.

A rename is not on the disk when it returns. A journal (ext4, XFS) has it once the folder is synced. FAT
has none: there the renamed file's entry is written when that file is synced, and the space of the file
that it replaced is free as soon as nobody has it open. So the old file is held open while the folder
forgets the temporary name; then the entry changes, in one sector; only then is the old space given up.
(A name that is new on FAT may be that of an empty file until this returns.)
"""

import contextlib
import ctypes
import os
import stat

ETC = "/etc"
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def write(
    path: str, content: str | bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Replace the file at `path`; a new one has this mode and, as (uid, gid), this owner."""
    temporary = beside(path)
    stage(temporary, content, mode, owner)
    try:
        rename(temporary, path)
    except OSError:
        unlink(temporary)
        raise


def beside(path: str) -> str:
    """The name that a file has until it is whole; apt and systemd read none that ends so."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.bramble")


def stage(
    path: str, content: str | bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Write a file under a name that nobody reads yet, for nobody else to read, and sync it."""
    unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except OSError:
        unlink(path)
        raise


def rename(source: str, target: str) -> None:
    """Give what is synced the name `target`, in the place of what has it, on the disk."""
    folder = os.path.dirname(target)
    with contextlib.ExitStack() as held:
        hold(held, target)
        new = hold(held, source)
        os.rename(source, target)
        sync(folder)
        if new is not None:
            os.fsync(new)
    sync(folder)


def hold(held, path):
    """Have a file or folder open, None for a link and for nothing."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    held.callback(os.close, descriptor)
    return descriptor


def link(path, target):
    """Point a symbolic link to `target`: it leads to the old one or to the new one."""
    temporary = beside(path)
    unlink(temporary)
    os.symlink(target, temporary)
    rename(temporary, path)


def place(new, path):
    """Give a whole folder its name; one that has it takes the other's at the same instant."""
    sync_below(new)
    if not os.path.lexists(path):
        rename(new, path)
        return
    exchange(new, path)


def exchange(one, other):
    """Have two names of a folder change their places, at the same instant."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if libc.renameat2(*names):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), other)
    sync(os.path.dirname(other))


def remove(path):
    """Remove a file so that it stays removed; one that is not there is fine."""
    if os.path.lexists(path):
        unlink(path)
        sync(os.path.dirname(path))


def unlink(path):
    """Remove a name if it is there; that lasts with the next sync of its folder."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def make_folder(path, mode=0o777):
    """Make a folder and those above it that are missing, and have the disk know each."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folder(above)
    os.mkdir(path, mode)
    sync(above)


def sync_below(folder):
    """Have the disk take all that is in a folder."""
    for below, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(below, name)
            if not os.path.islink(path):
                sync(path)
        sync(below)


def sync_etc() -> None:
    """Have the disk take what others changed below /etc: systemctl and hostnamectl sync nothing.

    A journal holds all that was done to names before, in whichever folder.
    """
    sync(ETC)


def sync(path: str) -> None:
    """Have the disk take a file, or the names that a folder has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
