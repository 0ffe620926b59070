"""Give our folders back to root, and discard what was trusted of their contents.

Whoever could write there may have changed a file and the note that says it was verified, so the notes
named in `forget` are removed: the files are verified, or installed, again.
"""

import contextlib
import os
import stat
import sys

from bramble.remote import owned


def give(path):
    """Give a folder or plain file to root, writable by nobody else, without following a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.fchown(descriptor, 0, 0)
        os.fchmod(descriptor, mode & ~(stat.S_IWGRP | stat.S_IWOTH))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    print(f"{path} is root's")


def main(query):
    """Give every path of `paths` back, the outermost first; refuse below another's folder."""
    try:
        for path in query["paths"]:
            if why := owned.refusal(os.path.dirname(os.path.realpath(path))):
                print(why, file=sys.stderr)
                return 1
            give(path)
        for path in query["forget"]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0
