"""List the models of this node, or remove those that it neither runs, nor is to run, nor ran last.

What runs is told by the processes: a file that one has mapped, or names in its arguments. What passed
the gate last and the model that did so before it (`good.json`) are what a way back needs; where that
is not told, the one that was verified last besides stays. Files that no fetch of ours
made (without a stamp) are left alone.
"""

import fcntl
import glob
import json
import os
import shutil

from bramble.remote import owned


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


def damaged(folder):
    """The models that the disk did not have as they were verified, when they were read back."""
    notes = sorted(glob.glob(f"{folder}/*.gguf.damaged"))
    return [
        path for path in (note.removesuffix(".damaged") for note in notes) if os.path.exists(path)
    ]


def proven(home):
    """The model that passed the gate last, and the other one that did before it; empty: not told."""
    try:
        good = json.loads(read(f"{home}/good.json"))
        others = (record for record in good["history"] if record["model"] != good["model"])
        return good["path"] or "", next((record["path"] for record in others), None) or ""
    except (ValueError, LookupError, TypeError):
        return "", ""


def decide(folder, planned, home):
    """What each file of ours is to this node, and whether it may go: path -> (whether, what)."""
    running, ours = in_use(folder), models(folder)
    good, before = proven(home)
    role = "the predecessor, for going back"
    if before not in ours:
        others = [path for path in ours if path not in (planned, good) and path not in running]
        before, role = (
            others[0] if others else None,
            "the last one besides; no predecessor is known",
        )
    known = {
        before: role,
        good: "the last that passed the gate",
        planned: "the planned model",
    }
    verdicts = {}
    for path in ours:
        what = [known[path]] if path in known else []
        what += ["a process runs it"] if path in running else []
        verdicts[path] = (not what, ", ".join(what) or "neither planned nor running nor a way back")
    for path in damaged(folder):
        kept = path == planned or path in running
        verdicts[path] = (not kept, "damaged" + (", a process runs it" if path in running else ""))
    for part in sorted(glob.glob(f"{folder}/*.gguf.part")):
        kept = part == f"{planned}.part" or part in running
        verdicts[part] = (not kept, "the part of the planned model" if kept else "a part left over")
    return verdicts


def listed(folder, planned, home):
    """All model files with what they are to this node, those among them that nobody verified."""
    rows = []
    verdicts = decide(folder, planned, home)
    foreign = sorted({*glob.glob(f"{folder}/*.gguf")} - {*verdicts})
    for path, (goes, what) in [*verdicts.items(), *((path, (False, "")) for path in foreign)]:
        try:
            stamp = read(f"{path}.json") if owned.is_plain(f"{path}.json") else ""
            sha256 = json.loads(stamp).get("sha256")
        except (ValueError, AttributeError):
            sha256 = None
        row = {"path": path, "size_bytes": os.path.getsize(path), "sha256": sha256}
        rows.append(row | {"what": what or "not verified: left alone", "removable": goes})
    there = folder
    while not os.path.exists(there):
        there = os.path.dirname(there)
    return {"folder": folder, "free_bytes": shutil.disk_usage(there).free, "models": rows}


def remove(path):
    """Remove a model and then what was noted of it, or a part; how many bytes that frees."""
    freed = os.path.getsize(path)
    os.unlink(path)
    for beside in (f"{path}.fit", f"{path}.damaged", f"{path}.json"):
        if os.path.exists(beside):
            os.unlink(beside)
    return freed


def prune(folder, planned, home):
    """Do it, and say of each file what became of it; how many bytes that freed."""
    freed = 0
    for path, (goes, what) in decide(folder, planned, home).items():
        size = os.path.getsize(path)
        if goes:
            freed += remove(path)
        say(f"{'removed' if goes else 'kept'} {path} ({size >> 20} MiB): {what}")
    return freed


def main(query):
    """List `folder` as JSON, or prune it; while a fetch is under way nothing is removed.

    `planned` is the planned model's path, `home` the engine's folder, where the gate keeps its notes.
    """
    folder, descriptor = query["folder"].rstrip("/"), None
    files = (folder, query["planned"], query["home"])
    try:
        if query["list"]:
            print(json.dumps(listed(*files)))
            return 0
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if why := owned.refusal(folder):
            say(f"nothing was removed: {why}")
            return 1
        freed = prune(*files)
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
