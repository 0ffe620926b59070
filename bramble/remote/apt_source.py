"""Add a third party's apt repository: its key by fingerprint, pinned to the packages wanted of it.

The keyring's one key must have the planned fingerprint, and apt must accept the repository's
signature. Where either fails, or its host serves other packages too, all of it is removed again.
"""

import base64
import hashlib
import os
import subprocess
import sys
import urllib.parse
import urllib.request

from bramble.remote import apt, atomic, owned

KEY_LIMIT_BYTES = 1 << 20
PUBLIC_KEY = 6
ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"


def dearmored(content):
    """Return the packets of an armoured key; a binary one is unchanged."""
    if not content.lstrip().startswith(ARMOR):
        return content
    lines = [line.strip() for line in content.strip().splitlines()]
    body = lines[lines.index(b"") + 1 : -1]
    return base64.b64decode(b"".join(line for line in body if not line.startswith(b"=")))


def packets(content):
    """Yield the tag and the body of each OpenPGP packet (RFC 4880, 4.2); raise ValueError."""
    position = 0
    while position < len(content):
        head = content[position]
        if not head & 0x80:
            raise ValueError("not an OpenPGP key")
        if head & 0x40:
            tag, (length, start) = head & 0x3F, new_length(content, position + 1)
        else:
            width = 1 << (head & 3)
            if width == 8:
                raise ValueError("an OpenPGP packet of no length")
            tag, start = head >> 2 & 0x0F, position + 1 + width
            length = int.from_bytes(content[position + 1 : start], "big")
        position = start + length
        if position > len(content):
            raise ValueError("a key that ends too early")
        yield tag, content[start:position]


def new_length(content, position):
    """Parse the length at `position` of a new-format packet; return it and where the body begins."""
    first = content[position]
    if first < 192:
        return first, position + 1
    if first < 224:
        return (first - 192 << 8) + content[position + 1] + 192, position + 2
    if first == 255:
        return int.from_bytes(content[position + 1 : position + 5], "big"), position + 5
    raise ValueError("an OpenPGP packet in parts")


def fingerprints(content):
    """Return the fingerprint of each primary key (RFC 4880, 12.2: version 4)."""
    found = []
    for tag, body in packets(content):
        if tag == PUBLIC_KEY:
            if body[:1] != b"\4":
                raise ValueError("a key that is not of OpenPGP's version 4")
            whole = b"\x99" + len(body).to_bytes(2, "big") + body
            found.append(hashlib.sha1(whole).hexdigest().upper())
    return found


def key(query):
    """Return the key's packets, from the uploaded file or its URL; raise ValueError for another key."""
    if query["key_file"]:
        where = "storage.log2ram_repository.key_file"
        with owned.opened(query["key_file"], "rb") as file:
            content = file.read(KEY_LIMIT_BYTES)
    else:
        where = query["key_url"]
        with urllib.request.urlopen(where, timeout=60) as answer:
            content = answer.read(KEY_LIMIT_BYTES)
    content = dearmored(content)
    found = fingerprints(content)
    if found != [query["fingerprint"]]:
        raise ValueError(
            f"{where} holds {' and '.join(found) or 'no key'}, and the pinned fingerprint is "
            f"{query['fingerprint']}: nothing was added. Find out which of them is right"
        )
    return content


def write(path, content):
    """Replace a whole file, readable for all."""
    atomic.make_folder(os.path.dirname(path))
    atomic.write(path, content, 0o644)


def remove(*paths):
    """Remove files that exist."""
    for path in paths:
        atomic.remove(path)


def shared(query):
    """Say which other repositories the pin would block; return None where the host has only this one."""
    code, said = apt.ask("apt-get", "indextargets", "--format", "$(REPO_URI)")
    if code:
        return said
    urls = {url.rstrip("/") for url in said.splitlines()} - {query["url"]}
    others = [url for url in urls if (urllib.parse.urlsplit(url).hostname or "") == query["site"]]
    if not others:
        return None
    return (
        f"{query['site'] or 'this computer'} serves {', '.join(sorted(others))} too, and apt pins by "
        "host, so that nothing could be installed from there any more. Give "
        "storage.log2ram_repository.url a host name of its own"
    )


def update(source):
    """Say why apt refuses the repository; return None where it accepts it. No other source is asked."""
    problem = apt.update(
        *("-o", f"Dir::Etc::sourcelist={source}", "-o", "Dir::Etc::sourceparts=-"),
        *("-o", "APT::Get::List-Cleanup=0"),
    )
    return f"apt does not take the repository: {problem}" if problem else None


def main(query):
    """Add the keyring, the pin and the source, in this order; remove all where one is refused."""
    pin, source = query["pin"], query["source"]
    paths = (source["path"], pin["path"], query["keyring"])
    others = next((why for path in paths if (why := atomic.refusal(path))), None)
    try:
        problem = others or shared(query)
        if not problem:
            write(query["keyring"], key(query))
            write(pin["path"], pin["text"].encode())
            write(source["path"], source["text"].encode())
            problem = update(source["path"])
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        # An unreachable URL is an OSError too.
        problem = str(error)
    finally:
        if query["key_file"]:
            remove(query["key_file"])
    if problem:
        if not others:
            remove(*paths)
        print(f"log2ram's repository was not added: {problem}.", file=sys.stderr)
    return 1 if problem else 0
