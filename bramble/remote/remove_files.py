"""Remove whole files of ours; refuse what is neither a plain file nor a link."""

import os
import stat
import sys

from bramble.remote import atomic


def refusal(path):
    """Say why `path` must not be removed; return None where it may be, or is gone already."""
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
    """Remove every path of `query` that exists, after checking all of them."""
    refusals = [why for path in query["paths"] if (why := refusal(path))]
    for why in refusals:
        print(why, file=sys.stderr)
    if refusals:
        return 1
    for path in query["paths"]:
        atomic.remove(path)
    return 0
