"""Set this node's name: in /etc/hosts first, so that sudo can resolve it at any moment."""

import hashlib
import subprocess
import sys

from bramble.remote import atomic


def main(query):
    """Replace the hosts file that was seen with `hosts`, then set `name`."""
    path = query["path"]
    try:
        with open(path, "rb") as file:
            before = file.read()
        if hashlib.sha256(before).hexdigest() != query["was_sha256"]:
            print(f"{path} is not as it was seen and was left alone; run again", file=sys.stderr)
            return 1
        content = query["hosts"].encode()
        if content != before:
            atomic.write(path, content, 0o644)
    except OSError as error:
        print(f"{path} was left as it was: {error}", file=sys.stderr)
        return 1
    words = ["hostnamectl", "set-hostname", query["name"]]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(words)}: {done.stderr.strip()}", file=sys.stderr)
        return done.returncode
    atomic.sync_etc()
    return 0
