"""Read a file back from its disk and print its sha256.

This bypasses the page cache (O_DIRECT): its pages show what was read once, and they belong to the
model that is being served.
"""

import errno
import hashlib
import mmap
import os

CHUNK_BYTES = 4 * 1024**2


def digest(path, flags):
    """Return the sha256 of what the disk has, printing a counter in MiB."""
    made, done = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        total = os.fstat(descriptor).st_size
        # O_DIRECT needs page-aligned memory, as an anonymous mapping is.
        with mmap.mmap(-1, CHUNK_BYTES) as buffer:
            while done < total and (count := os.preadv(descriptor, [buffer], done)):
                made.update(buffer[:count])
                done += count
                print(f"[{done >> 20}/{total >> 20}] MiB", flush=True)
        if not flags:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return made.hexdigest()


def read_back(path):
    """Return the sha256, also on a file system without O_DIRECT."""
    try:
        return digest(path, os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return digest(path, 0)


def main(query):
    """Print the sha256 of `path` as the last line, or why it cannot be read."""
    print(f":: reading {query['path']} back from the disk", flush=True)
    try:
        said = read_back(query["path"])
    except OSError as error:
        said = f"cannot be read: {error.strerror}"
    print(f":: {said}", flush=True)
    return 0
