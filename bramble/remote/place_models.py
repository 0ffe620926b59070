"""Move the models' folder to the SSD, or back to the card: the same path leads to either.

On the SSD the path is a link. Verified models are copied and read back from the disk before the link
and the folder are exchanged, atomically; the old folder stays beside it until its removal is ordered.
So a power cut at any moment leaves a path with complete models, and the next run resumes the copy.
"""

import contextlib
import glob
import json
import os

from bramble.remote import atomic, download, fetch_model, owned, progress, prune_models, settle


def stamped(path):
    """Return the sha256 that a model was verified with; None without a stamp."""
    stamp = f"{path}.json"
    if not (owned.is_plain(path) and owned.is_plain(stamp)):
        return None
    try:
        with owned.opened(stamp, "rb") as file:
            return json.load(file)["sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def copied(path, to, wanted):
    """Copy a model, read it back and name it; return whether it is intact at its new place."""
    target = os.path.join(to, os.path.basename(path))
    if stamped(target) == wanted and os.path.getsize(target) == os.path.getsize(path):
        return True
    part = f"{target}.part"
    if not owned.is_own(part) or os.path.getsize(part) > os.path.getsize(path):
        owned.opened(part, "wb").close()
    try:
        found = append(path, part)
    except OSError as error:
        if error.errno in download.FULL:
            os.unlink(part)
        raise
    if found != wanted:
        os.unlink(part)
        return False
    with owned.opened(part, "rb") as file:
        os.fchmod(file.fileno(), 0o644)
    atomic.rename(part, target)
    fetch_model.stamp(target, wanted)
    return True


def append(path, part):
    """Append what a part lacks of a file; return the sha256 of the whole as the disk has it."""
    done, size = os.path.getsize(part), os.path.getsize(path)
    settling = settle.Settling(part, done)
    try:
        with owned.opened(path, "rb") as source, owned.opened(part, "ab") as file:
            source.seek(done)
            while chunk := source.read(download.CHUNK_BYTES):
                file.write(chunk)
                file.flush()
                done += len(chunk)
                settling.upto(done)
                print(f"[{done >> 20}/{size >> 20}] MiB", flush=True)
                os.posix_fadvise(source.fileno(), 0, done, os.POSIX_FADV_DONTNEED)
        return settling.digest(done)
    finally:
        settling.leave()


def bring(query):
    """Copy the models to the SSD, and point the path there."""
    folder, to, left = query["folder"], query["to"], query["left"]
    if not os.path.ismount(query["mount"]):
        raise download.NoRoom(f"nothing is mounted at {query['mount']}; run again")
    if why := owned.have(to):
        raise download.NoRoom(why)
    atomic.remove(left)
    if os.path.islink(folder):
        atomic.link(folder, to)
        progress.say(f"{folder} leads to {to} now")
        return
    if why := owned.have(folder):
        raise download.NoRoom(why)
    models = {path: sha256 for path in prune_models.models(folder) if (sha256 := stamped(path))}
    there = sum(os.path.getsize(path) for path in glob.glob(f"{to}/*.gguf*"))
    needed = sum(os.path.getsize(path) for path in models)
    download.check_space(f"{to}/any", max(0, needed - there))
    for path, sha256 in models.items():
        progress.say(f"copying {os.path.basename(path)} to {to}")
        if not copied(path, to, sha256):
            progress.say(f"{path} is not as it was verified, and is not taken along")
        elif os.path.exists(f"{path}.fit"):
            owned.taken(f"{path}.fit", f"{to}/{os.path.basename(path)}.fit", 0o644)
    atomic.sync_below(to)
    atomic.link(left, to)
    atomic.exchange(left, folder)
    progress.say(f"{folder} is on the SSD now, with {len(models)} models")


def back(query):
    """Make the path a folder of the card again: the earlier one, where it still exists."""
    folder, left = query["folder"], query["left"]
    if not os.path.isdir(left) or os.path.islink(left):
        atomic.remove(left)
        atomic.make_folder(left)
    atomic.exchange(left, folder)
    atomic.remove(left)
    progress.say(f"{folder} is on the card again")


def clear(query):
    """Remove models from the card that are intact on the SSD and that nothing uses."""
    folder, left = query["folder"], query["left"]
    used = prune_models.in_use(left)
    for path in prune_models.models(left):
        target = os.path.join(folder, os.path.basename(path))
        if path in used:
            raise download.NoRoom(f"a process uses {path}; run again once it does not")
        if stamped(target) == stamped(path):
            progress.say(f"removed {path} ({prune_models.remove(path) >> 20} MiB)")
    for rest in glob.glob(f"{left}/*.gguf.part") + glob.glob(f"{left}/*.gguf.damaged"):
        os.unlink(rest)
    try:
        os.rmdir(left)
    except OSError as error:
        progress.say(f"{left} stays, as it holds what no fetch of ours made: {error.strerror}")


def main(query):
    """Move the models to the SSD (`bring`), to the card (`back`), or `clear` up, while no fetch runs."""
    work = {"bring": bring, "back": back, "clear": clear}[query["what"]]
    try:
        parent = os.path.dirname(query["folder"])
        if why := owned.have(parent):
            raise download.NoRoom(why)
        with contextlib.ExitStack() as stack:
            for folder in (query["folder"], query["left"]):
                if os.path.isdir(folder):
                    stack.enter_context(fetch_model.alone(folder))
            work(query)
    except (download.NoRoom, OSError) as error:
        progress.say(f"the models stay where they are: {error}")
        return 1
    return 0
