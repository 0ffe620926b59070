"""Give folders of ours back to root, and forget what was believed of what lies in them.

Whoever could write there may have changed a file and the note that says it was verified, so what is
named in `forget` goes: it is verified, or installed, anew.
"""

import contextlib
import os
import stat
import sys

from bramble.remote import owned


def give(path):
    """Have a folder or plain file belong to root, open to nobody else; no link is followed."""
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
    """Give every path of `paths`, the outermost first; whoever holds a folder above it is told of."""
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
