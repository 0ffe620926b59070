"""Remove whole files that are ours; what is not a plain file or a link is refused."""

import os
import stat
import sys

from bramble.remote import atomic


def refusal(path):
    """Why `path` must not be removed, None when it may, or when it is gone already."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        return None
    return (
        f"{path} is neither a plain file nor a link, so it is not ours; move it away and run again"
    )


def main(query):
    """Remove every path of `query` that is there, after a look that none of them is something else."""
    refusals = [why for path in query["paths"] if (why := refusal(path))]
    for why in refusals:
        print(why, file=sys.stderr)
    if refusals:
        return 1
    for path in query["paths"]:
        atomic.remove(path)
    return 0
