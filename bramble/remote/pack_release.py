"""Pack a release that was built on this node, for other nodes with such a processor.

The archive has what the manifest lists and nothing else; the receiver verifies the checksums.
"""

import hashlib
import json
import os
import shutil
import sys
import tarfile

from bramble.remote import engine_home

RESERVE_BYTES = 128 * 1024**2


def plain(member):
    """Give a member to root: the builder's account has no meaning on another node."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def pack(release, path):
    """Write the archive to `path`, readable for the user who fetches it."""
    with open(os.path.join(release, engine_home.MANIFEST), encoding="utf-8") as file:
        programs = sorted(json.load(file)["binaries"])
    remove(path)
    size = sum(os.path.getsize(os.path.join(release, "bin", name)) for name in programs)
    free = shutil.disk_usage(release).free
    if free < size + RESERVE_BYTES:
        raise OSError(
            f"{os.path.dirname(path)} has {free >> 20} MiB free and the archive may need {size >> 20}, "
            f"with {RESERVE_BYTES >> 20} kept"
        )
    with tarfile.open(path, "x:gz", compresslevel=6) as archive:
        for name in ("bin", *(f"bin/{program}" for program in programs), engine_home.MANIFEST):
            archive.add(os.path.join(release, name), name, recursive=False, filter=plain)
    os.chmod(path, 0o644)


def remove(path):
    """Remove an archive, complete or not."""
    if os.path.lexists(path):
        os.unlink(path)


def main(query):
    """Pack `release` beside itself, and print the archive's path and sha256."""
    folder, name = os.path.split(query["release"])
    path = os.path.join(folder, f".{name}.packed")
    try:
        pack(query["release"], path)
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, LookupError, TypeError, tarfile.TarError) as error:
        remove(path)
        print(f"release {name} cannot be packed: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"path": path, "sha256": found}))
    return 0
