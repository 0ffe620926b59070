"""Folders that nobody else may write, and files in them that are not links.

A root program that writes, renames or removes below a folder of another user does what that user
wants: a link planted there leads anywhere. So such a folder is refused, and a link is never followed.
"""

import os
import stat

from bramble.remote import atomic

OTHERS = stat.S_IWGRP | stat.S_IWOTH
MOST_LINKS = 40
CHUNK_BYTES = 1024 * 1024


def refusal(folder):
    """Say why this program must not write below `folder`; None where only root and its user may.

    This checks each folder of the path, as whoever may write to one of them may replace the next.
    Missing folders will be made by us.
    """
    found, is_there = steps_of(folder), os.path.exists(folder)
    for path, status in found:
        last = is_there and path == found[-1][0]
        if why := another(status, last):
            return (
                f"{path} {why}, so that somebody else than root decides what is written there; give it "
                f"to root (`sudo chown root:root {path} && sudo chmod go-w {path}`), or name another "
                "folder"
            )
    return None


def have(folder):
    """Create a folder if it is missing; say why it must not be written to, or return None."""
    why = refusal(folder)
    if why is None:
        # A link of root's may lead to an empty disk.
        atomic.make_folder(os.path.realpath(folder))
        why = refusal(folder)
    return why


def steps_of(folder):
    """Return every folder and link from the root to `folder` with its lstat, as far as they exist."""
    names, place, found, links = folder.strip("/").split("/"), "/", [("/", os.lstat("/"))], 0
    while names:
        path = os.path.normpath(os.path.join(place, names.pop(0)))
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            break
        found.append((path, status))
        if not stat.S_ISLNK(status.st_mode):
            place = path
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(f"{folder}: too many links")
        target = os.readlink(path)
        place = "/" if target.startswith("/") else place
        names = [name for name in target.split("/") if name] + names
    return found


def another(status, last):
    """Say who else may change a folder, or None; `last` is the folder that is written to."""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}"
    if stat.S_ISLNK(status.st_mode):
        return None
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder"
    group = status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid())
    if not (group or status.st_mode & stat.S_IWOTH):
        return None
    # In a folder with the sticky bit, such as /tmp, nobody may replace what is another's, but add to it.
    if not last and status.st_mode & stat.S_ISVTX:
        return None
    return "may be written by others"


def is_plain(path):
    """Return whether the path is a plain file, and not a link to one."""
    return os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode)


def is_own(path):
    """Return whether the path is a plain file of root's or ours, without other names."""
    if not is_plain(path):
        return False
    status = os.lstat(path)
    return status.st_uid in (0, os.geteuid()) and status.st_nlink == 1


def opened(path, mode, permissions=0o600):
    """Open a file for reading ("rb"), or our own for writing, without following a link.

    "wb" replaces the file that is there; "ab" appends to it.
    """
    flags = {
        "rb": os.O_RDONLY | os.O_NONBLOCK,
        "wb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
        "ab": os.O_WRONLY | os.O_APPEND,
    }[mode]
    if mode == "wb" and os.path.lexists(path):
        os.unlink(path)
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, permissions)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no plain file; move it away")
    return os.fdopen(descriptor, mode)


def taken(upload, path, permissions=0o600):
    """Copy a file that was sent over SSH to one that is ours alone, at its size of that moment."""
    with opened(upload, "rb") as sent:
        copied(sent, path, permissions)


def copied(sent, path, permissions=0o600):
    """Copy an open file to one that is ours alone, at its size of this moment."""
    left = os.fstat(sent.fileno()).st_size
    with opened(path, "wb", permissions) as file:
        while left > 0 and (chunk := sent.read(min(left, CHUNK_BYTES))):
            file.write(chunk)
            left -= len(chunk)
