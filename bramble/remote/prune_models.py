"""List the models of this node, or remove those that it neither runs, nor is to run, nor ran last.

A running model is one that a process has mapped, open or among its arguments. A rollback needs the one
that passed the gate last and its predecessor (`good.json`); where that is unknown, the last verified
one besides stays. Files that bramble did not fetch (without a stamp) are left alone.
"""

import fcntl
import glob
import json
import os
import shutil

from bramble.remote import engine_home, owned, progress


def in_use(folder):
    """Return the paths below the folder that any process has mapped, open or among its arguments."""
    # The kernel shows paths without symbolic links, arguments as they were given; a name alone counts as
    # well.
    real, found = os.path.realpath(folder), set()
    for process in glob.glob("/proc/[0-9]*"):
        words = read(f"{process}/cmdline").split("\0")
        words += [line.split(None, 5)[-1] for line in read(f"{process}/maps").splitlines() if line]
        words += [target(link) for link in glob.glob(f"{process}/fd/*")]
        names = {word.removesuffix(" (deleted)").removeprefix(f"{real}/") for word in words}
        found |= {f"{folder}/{name.removeprefix(f'{folder}/')}" for name in names}
    return found


def read(path):
    """Return a file of /proc; empty where its process has gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def target(link):
    """Return the target of a link; empty where its process has gone."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def models(folder):
    """Return the paths of all models with a stamp, the one verified last first."""
    stamps = {path: os.stat(path).st_mtime_ns for path in glob.glob(f"{folder}/*.gguf.json")}
    return [
        path.removesuffix(".json")
        for path in sorted(stamps, key=stamps.__getitem__, reverse=True)
        if os.path.exists(path.removesuffix(".json"))
    ]


def damaged(folder):
    """Return the models that differed from their sha256 when they were read back."""
    notes = sorted(glob.glob(f"{folder}/*.gguf.damaged"))
    return [
        path for path in (note.removesuffix(".damaged") for note in notes) if os.path.exists(path)
    ]


def proven(home):
    """Return the models that passed the gate last, and the first one of before; none where unknown.

    Going back to a model keeps those beside it that the inventory has now.
    """
    try:
        good = json.loads(read(f"{home}/{engine_home.GOOD}"))
        others = (record for record in good["history"] if record["model"] != good["model"])
        return paths(good), paths(next(others, {}))[:1]
    except (ValueError, LookupError, TypeError, AttributeError):
        return [], []


def paths(record):
    """Return the files of a record of the gate: the first model's, and those beside it."""
    first, helpers = record.get("path"), record.get("helpers") or []
    others = [one["path"] for one in record.get("further") or []]
    return [first, *others, *helpers] if first else []


def decide(folder, planned, home):
    """Return for each file of ours whether it may be removed, and what it is to this node."""
    running, ours = in_use(folder), models(folder)
    good, before = proven(home)
    role = "the predecessor, for going back"
    if not {*before[:1]} & {*ours}:
        others = [path for path in ours if path not in (*planned, *good) and path not in running]
        before, role = others[:1], "the last one besides; no predecessor is known"
    known = {
        **dict.fromkeys(before, role),
        **dict.fromkeys(good, "the last that passed the gate"),
        **dict.fromkeys(planned, "the planned model"),
    }
    verdicts = {}
    for path in ours:
        what = [known[path]] if path in known else []
        what += ["a process runs it"] if path in running else []
        verdicts[path] = (not what, ", ".join(what) or "neither planned nor running nor a way back")
    for path in damaged(folder):
        kept = path in planned or path in running
        verdicts[path] = (not kept, "damaged" + (", a process runs it" if path in running else ""))
    for part in sorted(glob.glob(f"{folder}/*.gguf.part")):
        kept = part.removesuffix(".part") in planned or part in running
        verdicts[part] = (not kept, "the part of the planned model" if kept else "a part left over")
    return verdicts


def listed(folder, planned, home):
    """Return all model files with what they are to this node, including unverified ones."""
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
    """Remove a model with its notes, or a part; return how many bytes that frees."""
    freed = os.path.getsize(path)
    os.unlink(path)
    for beside in (f"{path}.fit", f"{path}.damaged", f"{path}.json"):
        if os.path.exists(beside):
            os.unlink(beside)
    return freed


def prune(folder, planned, home):
    """Remove what may go, and report each file; return how many bytes that freed."""
    freed = 0
    for path, (goes, what) in decide(folder, planned, home).items():
        size = os.path.getsize(path)
        if goes:
            freed += remove(path)
        progress.say(f"{'removed' if goes else 'kept'} {path} ({size >> 20} MiB): {what}")
    return freed


def main(query):
    """Print `folder` as JSON, or prune it; nothing is removed while a fetch runs.

    `planned` are the planned models' paths, `home` the engine's folder with the gate's notes.
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
            progress.say(f"nothing was removed: {why}")
            return 1
        freed = prune(*files)
    except BlockingIOError:
        progress.say(f"a fetch into {folder} is under way; run again after it")
        return 1
    except OSError as error:
        progress.say(f"{error.filename or folder}: {error.strerror}")
        return 1
    finally:
        if descriptor is not None:
            os.close(descriptor)
    progress.say(f"freed {freed >> 20} MiB")
    return 0
