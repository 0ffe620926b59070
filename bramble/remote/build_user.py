"""Run programs as a user that can do nothing but its work: no network, and nothing else to write to.

The source itself says what is done to compile it, and what comes of it is not trusted either. So the
compilers, the source's scripts and the programs that they make run as a user without a login, in
namespaces of their own in which every file system is read-only but for the folders of the work. Where no
user is named, as on a person's own computer, a program runs as whoever called it.
"""

import ctypes
import functools
import os
import pwd
import shutil
import signal
import stat
import tempfile
from contextlib import contextmanager

from bramble.remote import atomic, owned

LIBC = ctypes.CDLL(None, use_errno=True)
# <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>; the call has this number on every architecture.
NEW_MOUNTS, NEW_IPC, NEW_NETWORK = 0x00020000, 0x08000000, 0x40000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
READ_ONLY, NO_SETUID, NO_DEVICES = 0x1, 0x2, 0x4
END_WITH_PARENT, NO_NEW_PRIVILEGES = 1, 38
# Sockets of other programs, which a read-only file system does not close.
SOCKETS = "/run"
PASSED_ON = ("PATH", "LANG", "LC_ALL")


class UserError(OSError):
    """A user that is not there, or cannot be held to its work; the text says what to do."""


class Attributes(ctypes.Structure):
    """What mount_setattr sets and clears."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "namespace")]


def end_with(parent):
    """Have the kernel end this process once its parent, which has this number, has ended.

    Nobody else would where the parent is killed: a compile goes on until its next line finds no reader.
    ninja ends its compilers when it is ended.
    """
    LIBC.prctl(END_WITH_PARENT, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it has ended before the kernel was told
        os.kill(os.getpid(), signal.SIGTERM)


def identity(user):
    """Return the numbers of a user and its group; of whoever runs this for None."""
    if user is None:
        return os.geteuid(), os.getegid()
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise UserError(f"there is no user {user} here; deploy the role engine again") from None
    return found.pw_uid, found.pw_gid


def options(user=None, writable=(), **variables):
    """Return how subprocess is to run a program as `user`, which may write to these folders alone.

    The program ends with this process, and gets no variables of root's but where programs are.
    """
    start = functools.partial(end_with, os.getpid())
    if user is None:
        return {"preexec_fn": start, "env": {**os.environ, **variables}}
    held = functools.partial(_hold, identity(user), writable, start)
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    home = writable[0] if writable else "/"
    env |= {"HOME": home, "TMPDIR": home, **variables}
    return {"preexec_fn": held, "env": env, "cwd": "/"}


def have(folder, user):
    """Have a folder of the user's below one of root's; what is another's there goes first."""
    uid, gid = identity(user)
    if os.path.lexists(folder):
        status = os.lstat(folder)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == uid:
            return
        remove(folder)
    os.mkdir(folder, 0o700)
    os.chown(folder, uid, gid)


def remove(path):
    """Remove a folder or whatever else has its name; a link in it is not followed."""
    if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
    shutil.rmtree(path, ignore_errors=True)


def have_cache(folder, user):
    """Have the user own the compiler cache, with all that is in it; a link in it is not followed.

    It may be a file system of its own, so it is given and not made again.
    """
    uid, gid = identity(user)
    atomic.make_folder(folder)
    if os.stat(folder).st_uid == uid:
        return
    # The folder itself is the last one, so that an interruption leaves it to be given again.
    for _, _, files, place in os.fwalk(folder, topdown=False):
        for name in files:
            os.chown(name, uid, gid, dir_fd=place, follow_symlinks=False)
        os.fchown(place, uid, gid)


@contextmanager
def scratch(user=None):
    """Give the user a folder for a while, which nobody else but root may enter."""
    folder = tempfile.mkdtemp(prefix="bramble-")
    os.chown(folder, *identity(user))
    try:
        yield folder
    finally:
        remove(folder)


def taken(path, target, user, most_bytes):
    """Copy a program that the user made to one of root's, which nobody else may write."""
    with owned.opened(path, "rb") as made:
        status = os.fstat(made.fileno())
        if (status.st_uid, status.st_nlink) != (identity(user)[0], 1):
            raise UserError(f"{path} is not a file of its own of the user {user} that builds")
        if status.st_size > most_bytes:
            raise UserError(
                f"{path} has {status.st_size >> 20} MiB; {most_bytes >> 20} are allowed"
            )
        owned.copied(made, target, 0o755)


def _hold(numbers, writable, start):
    """Have the kernel hold this process, which is about to become a program, to its work."""
    try:
        _enclose(writable)
    except OSError as error:
        os.write(2, f":: the kernel does not enclose the build's user: {error}\n".encode())
        raise
    uid, gid = numbers
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _checked(LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")
    start()  # last: the kernel forgets it where the user changes


def _enclose(writable):
    """Take the network and every writable place away from this process, but for `writable`."""
    _checked(LIBC.unshare(NEW_MOUNTS | NEW_IPC | NEW_NETWORK), "unshare")
    _mount(None, "/", RECURSIVE | PRIVATE)
    for path in writable:
        _mount(path, path, BIND)
    if not any(f"{path}/".startswith(f"{SOCKETS}/") for path in writable):
        _mount("tmpfs", SOCKETS, 0, "tmpfs")
    _attributes("/", AT_RECURSIVE, Attributes(set=READ_ONLY | NO_SETUID))
    for path in writable:
        _attributes(path, 0, Attributes(set=NO_SETUID | NO_DEVICES, clear=READ_ONLY))


def _mount(source, target, flags, kind=None):
    words = [os.fsencode(word) if word else None for word in (source, target, kind)]
    _checked(LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), None), target)


def _attributes(path, flags, attributes):
    size = ctypes.sizeof(attributes)
    args = (AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attributes), ctypes.c_size_t(size))
    _checked(LIBC.syscall(MOUNT_SETATTR, *args), path)


def _checked(result, what):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: {what}")
