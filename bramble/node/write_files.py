"""Replace whole files atomically: at any instant each is the whole old or the whole new one."""

import contextlib
import grp
import os
import pwd
import stat
import sys


def replace(path, text, mode, owner, group):
    """Write a temporary file beside `path` with its final mode and owner, sync it, rename it."""
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{os.path.basename(path)}.bramble")
    remove(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchown(file.fileno(), pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except (OSError, KeyError):
        remove(temporary)
        raise
    sync(folder)


def remove(path):
    """Remove a file if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def sync(folder):
    """Make a rename in `folder` last over a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refusal(path):
    """Why `path` must not be replaced by a plain file, None when it may."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(status.st_mode):
        return None
    kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a plain file"
    return f"{path} is {kind}; bramble owns it as a plain file. Move it away and run again."


def main(query):
    """Replace every file of `query`, after a look that none of them is something else."""
    refusals = [why for entry in query["files"] if (why := refusal(entry["path"]))]
    for why in refusals:
        print(why, file=sys.stderr)
    if refusals:
        return 1
    for entry in query["files"]:
        try:
            replace(**entry)
        except (OSError, KeyError) as error:
            print(f"{entry['path']} was left as it was: {error}", file=sys.stderr)
            return 1
    return 0
