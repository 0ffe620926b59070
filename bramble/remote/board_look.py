"""Look at what a board's own tools and files say, for a report to read; nothing is changed."""

import json
import pwd
import socket

from bramble.remote import probe

LIMIT_BYTES = 32 * 1024
FIRST_PERSON, LAST_PERSON = 1000, 60000


def text(path):
    """Return the beginning of a file as text, without the zeros that end those of a device tree."""
    with open(path, "rb") as file:
        return file.read(LIMIT_BYTES).decode("utf-8", "replace").rstrip("\0")


def people():
    """Return the accounts that people have here."""
    return [one.pw_name for one in pwd.getpwall() if FIRST_PERSON <= one.pw_uid < LAST_PERSON]


def main(query):
    """Print what `commands` said and `files` hold, and the names that are to be replaced in it."""
    seen = {
        "commands": {line: probe.known(probe.command, line) for line in query["commands"]},
        "files": {path: probe.known(text, path) for path in query["files"]},
        "names": {"hostname": socket.gethostname(), "users": people()},
    }
    print(json.dumps(seen))
    return 0
