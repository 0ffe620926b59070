"""Prepare a file for an upload over SSH: empty, and writable by the sending account alone.

It lies where every user may put files, so whatever is there may be somebody's, and is removed first. A
lack of space is reported before anything is sent.
"""

import os
import shutil
import sys

RESERVE_BYTES = 128 * 1024**2


def main(query):
    """Create an empty file at `path` for the account that called sudo, with `size_bytes` free for it."""
    path, size = query["path"], query["size_bytes"]
    try:
        if os.path.lexists(path):
            os.unlink(path)
        folder = os.path.dirname(path)
        free = shutil.disk_usage(folder).free
        if free < size + RESERVE_BYTES:
            print(
                f"{folder} has {free >> 20} MiB free and {size >> 20} are to be sent, with "
                f"{RESERVE_BYTES >> 20} kept; free some",
                file=sys.stderr,
            )
            return 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            user, group = (int(os.environ.get(name, 0)) for name in ("SUDO_UID", "SUDO_GID"))
            os.fchown(descriptor, user, group)
        finally:
            os.close(descriptor)
    except OSError as error:
        print(f"{path} cannot be made: {error.strerror}", file=sys.stderr)
        return 1
    return 0
