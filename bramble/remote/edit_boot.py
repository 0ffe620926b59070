"""Replace a file of the boot partition: on FAT, without a journal, and essential for booting.

The new text was made from a look at the old one, so it is written only while the old one is still
there. The old text stays beside it, ending in .bak.
"""

import hashlib
import os
import sys

from bramble.remote import atomic


def from_disk(path):
    """Read a file from the disk, not from the page cache."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def edit(path, was_sha256, text, stamp):
    """Write `text` where the file still has the sha256; return the reason where it was not written."""
    if not os.path.isfile(path) or os.path.islink(path):
        return f"there is no plain file {path}; is the boot partition mounted?"
    with open(path, "rb") as file:
        before = file.read()
    if hashlib.sha256(before).hexdigest() != was_sha256:
        return f"{path} is not as it was seen, or not in UTF-8, and was left alone; run again"
    content = text.encode()
    if not content.strip() and before.strip():
        return f"{path} would be empty and was left alone"
    if stamp:
        # First, so that a power cut causes a needless reboot and never a missing one.
        os.makedirs(os.path.dirname(stamp), exist_ok=True)
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(f"{path}\n")
    # FAT has neither modes nor owners, so none is set.
    atomic.write(f"{path}.bak", before)
    atomic.write(path, content)
    if from_disk(path) != content:
        return f"{path} does not read back as it was written; restore {path}.bak by hand"
    return None


def main(query):
    """Edit one file."""
    try:
        problem = edit(**query)
    except OSError as error:
        problem = f"{query['path']} was left as it was: {error}"
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0
