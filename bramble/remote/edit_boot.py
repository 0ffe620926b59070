"""Replace a file of the boot partition: FAT, without journal, and what no Pi boots without.

The new text was made from a look at the old one, so it goes in only where the old one still stands.
The old text stays beside it, ending in .bak.
"""

import hashlib
import os
import sys

from bramble.remote import atomic


def from_disk(path):
    """What the disk has of a file, and not what was kept in memory of its writing."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def edit(path, was_sha256, text, stamp):
    """Put `text` in the place of what has the sha256; the reason when that is not there."""
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
        # First, so that a power cut after it costs a reboot too many and never one too few.
        os.makedirs(os.path.dirname(stamp), exist_ok=True)
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(f"{path}\n")
    # FAT knows neither modes nor owners, so none is set.
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
