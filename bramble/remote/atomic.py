"""Replace files so that a power cut leaves the whole old or the whole new one, and nothing else.

A rename is not on the disk when it returns. A journal (ext4, XFS) has it once the folder is synced.
FAT has none: there the renamed file's entry is written when that file is synced, and the space of the
file that it replaced is free as soon as nobody has it open. So the old file is held open while the
folder forgets the temporary name; then the entry changes, in one sector; only then is the old space
released. (A new name on FAT may be that of an empty file until this returns.)
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import sys

ETC = "/etc"
AT_FDCWD, RENAME_EXCHANGE = -100, 2
# <linux/fs.h>, of a 64-bit Linux.
GET_FLAGS, IMMUTABLE, APPEND_ONLY = 0x80086601, 0x10, 0x20


def write(
    path: str, content: str | bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Replace the file at `path`; a new one gets this mode and this owner, as (uid, gid)."""
    if why := refusal(path):
        raise FileExistsError(errno.EEXIST, why, path)
    temporary = beside(path)
    stage(temporary, content, mode, owner)
    try:
        rename(temporary, path)
    except OSError:
        unlink(temporary)
        raise


def refusal(path: str) -> str | None:
    """Say why `path` must not be replaced by a plain file; return None where it may."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(status.st_mode):
        return None
    kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a plain file"
    return f"{path} is {kind}; bramble owns it as a plain file. Move it away and run again."


def beside(path: str) -> str:
    """Return the temporary name of a file; apt and systemd ignore files with such names."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.bramble")


def stage(
    path: str, content: str | bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Write and sync a file under a temporary name, readable by nobody else yet."""
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
    """Rename a synced file or folder to `target`, replacing what is there, on the disk too."""
    folder = os.path.dirname(target)
    with contextlib.ExitStack() as held:
        hold(held, target)
        new = hold(held, source)
        with told_if_immutable(target):
            os.rename(source, target)
        sync(folder)
        if new is not None:
            os.fsync(new)
    sync(folder)


def hold(held, path):
    """Open a file or folder until `held` closes; return None for a link and for nothing."""
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
    """Point a symbolic link to `target`, so that it always leads to the old or the new one."""
    temporary = beside(path)
    unlink(temporary)
    os.symlink(target, temporary)
    rename(temporary, path)


def place(new, path):
    """Give a complete folder its name; one that has the name is exchanged for it, atomically."""
    sync_below(new)
    if not os.path.lexists(path):
        rename(new, path)
        return
    exchange(new, path)


def exchange(one, other):
    """Exchange two names of a folder, atomically."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if libc.renameat2(*names):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), other)
    sync(os.path.dirname(other))


def remove(path):
    """Remove a file durably; a missing one is fine."""
    if os.path.lexists(path):
        unlink(path)
        sync(os.path.dirname(path))


def unlink(path):
    """Remove a name if it exists; that lasts with the next sync of its folder."""
    with contextlib.suppress(FileNotFoundError), told_if_immutable(path):
        os.unlink(path)


@contextlib.contextmanager
def told_if_immutable(path):
    """Name the attribute that keeps even root from replacing a file, where that is the cause."""
    try:
        yield
    except PermissionError as error:
        for place in (path, os.path.dirname(path)):
            if is_immutable(place):
                why = "it is immutable, and stays as it is; take that away with `chattr -i`"
                raise PermissionError(error.errno, why, place) from error
        raise


def is_immutable(path):
    """Return whether a file or folder has the attribute i or a (chattr(1))."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            flags = fcntl.ioctl(descriptor, GET_FLAGS, bytes(8))
        finally:
            os.close(descriptor)
        return bool(int.from_bytes(flags, sys.byteorder) & (IMMUTABLE | APPEND_ONLY))
    return False


def make_folder(path, mode=0o777):
    """Create a folder and its missing parents, and sync each."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folder(above)
    os.mkdir(path, mode)
    sync(above)


def sync_below(folder):
    """Sync all that is in a folder."""
    for below, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(below, name)
            if not os.path.islink(path):
                sync(path)
        sync(below)


def sync_etc() -> None:
    """Sync what others changed below /etc, as systemctl and hostnamectl sync nothing.

    One sync commits a journal with all earlier changes of names, in any folder.
    """
    sync(ETC)


def sync(path: str) -> None:
    """Sync a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
