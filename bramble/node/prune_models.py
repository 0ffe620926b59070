"""Remove the models that this node neither runs, nor is to run, nor ran last.

What runs is told by the processes: a file that one has mapped, or names in its arguments. The one
that was verified last besides is the predecessor, which a rollback needs. Files that no fetch of ours
made (without a stamp) are left alone.
"""

import fcntl
import glob
import os


def say(text):
    """A line for people."""
    print(f":: {text}", flush=True)


def in_use(folder):
    """The paths below the folder that any process has mapped, open or among its arguments."""
    # The kernel tells paths without symbolic links, arguments have them as they were given; a name
    # alone counts as well.
    real, found = os.path.realpath(folder), set()
    for process in glob.glob("/proc/[0-9]*"):
        words = read(f"{process}/cmdline").split("\0")
        words += [line.split(None, 5)[-1] for line in read(f"{process}/maps").splitlines() if line]
        words += [target(link) for link in glob.glob(f"{process}/fd/*")]
        names = {word.removesuffix(" (deleted)").removeprefix(f"{real}/") for word in words}
        found |= {f"{folder}/{name.removeprefix(f'{folder}/')}" for name in names}
    return found


def read(path):
    """A file of /proc, empty where its process has gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def target(link):
    """Where a link leads, nowhere when its process has gone."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def models(folder):
    """Every model of ours by its path, with the time of its stamp; the one verified last first."""
    stamps = {path: os.stat(path).st_mtime_ns for path in glob.glob(f"{folder}/*.gguf.json")}
    return [
        path.removesuffix(".json")
        for path in sorted(stamps, key=stamps.__getitem__, reverse=True)
        if os.path.exists(path.removesuffix(".json"))
    ]


def decide(folder, planned):
    """What happens to each file of ours, and why: path -> (whether it goes, why)."""
    running, ours = in_use(folder), models(folder)
    others = [path for path in ours if path != planned and path not in running]
    verdicts = {}
    for path in ours:
        if path == planned:
            verdicts[path] = (False, "the planned model")
        elif path in running:
            verdicts[path] = (False, "a process runs it")
        elif path == others[0]:
            verdicts[path] = (False, "the predecessor: the last that was verified besides")
        else:
            verdicts[path] = (True, "neither planned nor running nor the predecessor")
    for part in sorted(glob.glob(f"{folder}/*.gguf.part")):
        kept = part == f"{planned}.part" or part in running
        verdicts[part] = (not kept, "the part of the planned model" if kept else "a part left over")
    return verdicts


def remove(path):
    """Remove a model and then its stamp, or a part; how many bytes that frees."""
    freed = os.path.getsize(path)
    os.unlink(path)
    if os.path.exists(f"{path}.json"):
        os.unlink(f"{path}.json")
    return freed


def prune(folder, planned):
    """Do it, and say of each file what became of it; how many bytes that freed."""
    freed = 0
    for path, (goes, why) in decide(folder, planned).items():
        size = os.path.getsize(path)
        if goes:
            freed += remove(path)
        say(f"{'removed' if goes else 'kept'} {path} ({size >> 20} MiB): {why}")
    return freed


def main(query):
    """Prune `folder` with what is `planned`; while a fetch is under way nothing is done."""
    folder = query["folder"].rstrip("/")
    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        freed = prune(folder, query["planned"])
    except BlockingIOError:
        say(f"a fetch into {folder} is under way; run again after it")
        return 1
    except OSError as error:
        say(f"{error.filename or folder}: {error.strerror}")
        return 1
    finally:
        if descriptor is not None:
            os.close(descriptor)
    say(f"freed {freed >> 20} MiB")
    return 0
