"""Let a public key into an account, beside the keys that are there."""

import os

from bramble.remote import atomic


def main(query):
    """Append `key` to the authorized_keys at `path`, unless it is there."""
    path = os.path.expanduser(query["path"])
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    text = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    body = query["key"].split()[1]
    if any(body in line.split() for line in text.splitlines() if not line.lstrip().startswith("#")):
        return 0
    before = f"{text.rstrip()}\n" if text.strip() else ""
    atomic.write(path, f"{before}{query['key']}\n".encode("utf-8", "surrogateescape"), 0o600)
    return 0
