"""Refuse a size for log2ram that is too small for its folders, with the numbers.

log2ram itself only finds that out at boot, and leaves the logs on the card.
"""

import os
import sys

MIB = 1 << 20
MOUNTINFO = "/proc/self/mountinfo"
# log2ram's package removes this folder when it is installed, with all that is in it.
REMOVED = "/var/hdd.log"


def used_bytes(folder, without):
    """Return what the files of a folder take on the disk, as du counts, without one of its folders."""
    total, seen = 0, set()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(place, name) != without]
        for name in files:
            try:
                status = os.lstat(os.path.join(place, name))
            except FileNotFoundError:
                continue
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def too_small(folder, size_mib, journal_mib):
    """Say why a folder does not fit; return None where it does. A journal counts at its maximum."""
    journal = os.path.join(folder, "journal")
    now = used_bytes(journal, None)
    others = used_bytes(folder, journal)
    needed = others + max(now, journal_mib * MIB)
    if needed < size_mib * MIB:
        return None
    return (
        f"{folder} needs {needed / MIB:.0f} MiB (journal: {now / MIB:.0f} now, {journal_mib} planned; "
        f"others: {others / MIB:.0f}), and storage.log2ram_size_mib is {size_mib}. Set it higher, or "
        "make room: `sudo journalctl --vacuum-size=16M`, and old files that logrotate left"
    )


def in_the_way(path):
    """Say why a folder that is neither a mount nor empty must be moved away first; None where not.

    log2ram itself mounts it from the same disk, which os.path.ismount does not detect.
    """
    with open(MOUNTINFO, encoding="utf-8") as file:
        mounted = [line.split()[4] for line in file]
    if path in mounted or not os.path.isdir(path) or not os.listdir(path):
        return None
    return (
        f"{path} holds files, and log2ram's package removes it when it is installed. Move them away"
    )


def main(query):
    """Report each folder that does not fit."""
    problems = [in_the_way(REMOVED)]
    for folder in query["folders"]:
        journal_mib = query["journal_mib"] if folder == "/var/log" else 0
        problems.append(too_small(folder, query["size_mib"], journal_mib))
    found = [problem for problem in problems if problem]
    for problem in found:
        print(f"log2ram was left as it was: {problem}.", file=sys.stderr)
    return 1 if found else 0
