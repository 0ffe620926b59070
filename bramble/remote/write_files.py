"""Replace whole files atomically: each is always the whole old or the whole new one."""

import grp
import os
import pwd
import sys

from bramble.remote import atomic


def replace(path, text, mode, owner, group):
    """Write `text` to `path`; the file has its final mode and owner before it gets its name."""
    ids = (pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid)
    atomic.make_folder(os.path.dirname(path))
    atomic.write(path, text, mode, ids)


def main(query):
    """Replace every file of `query`, after checking all of them."""
    refusals = [why for entry in query["files"] if (why := atomic.refusal(entry["path"]))]
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
