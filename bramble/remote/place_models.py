"""Have the models' folder on the SSD, or on the card again: the same path leads to either.

On the SSD the path is a link. What has a stamp is copied and read back from the disk before the link
takes the folder's place, all at once; the old folder stays beside it until it is said that it may go.
So a power cut at any moment leaves a path with whole models, and the next run goes on with what is
copied.
"""

import contextlib
import glob
import json
import os

from bramble.remote import atomic, download, fetch_model, owned, prune_models, settle


def stamped(path):
    """The sha256 that a model was verified with, None where no stamp says it."""
    stamp = f"{path}.json"
    if not (owned.is_plain(path) and owned.is_plain(stamp)):
        return None
    try:
        with owned.opened(stamp, "rb") as file:
            return json.load(file)["sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def copied(path, to, wanted):
    """Whether a model is whole at its new place: copied, read back from the disk, then named."""
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
    """Copy what a part lacks of a file; the sha256 of all of it as the disk has it."""
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
    """Copy the models to the SSD, and have the path lead there."""
    folder, to, left = query["folder"], query["to"], query["left"]
    if not os.path.ismount(query["mount"]):
        raise download.NoRoom(f"nothing is mounted at {query['mount']}; run again")
    if why := owned.have(to):
        raise download.NoRoom(why)
    atomic.remove(left)
    if os.path.islink(folder):
        atomic.link(folder, to)
        download.say(f"{folder} leads to {to} now")
        return
    if why := owned.have(folder):
        raise download.NoRoom(why)
    models = {path: sha256 for path in prune_models.models(folder) if (sha256 := stamped(path))}
    there = sum(os.path.getsize(path) for path in glob.glob(f"{to}/*.gguf*"))
    needed = sum(os.path.getsize(path) for path in models)
    download.check_space(f"{to}/any", max(0, needed - there))
    for path, sha256 in models.items():
        download.say(f"copying {os.path.basename(path)} to {to}")
        if not copied(path, to, sha256):
            download.say(f"{path} is not as it was verified, and is not taken along")
        elif os.path.exists(f"{path}.fit"):
            owned.taken(f"{path}.fit", f"{to}/{os.path.basename(path)}.fit", 0o644)
    atomic.sync_below(to)
    atomic.link(left, to)
    atomic.exchange(left, folder)
    download.say(f"{folder} is on the SSD now, with {len(models)} models")


def back(query):
    """Have the path be a folder of the card again: the one of before, where that is still there."""
    folder, left = query["folder"], query["left"]
    if not os.path.isdir(left) or os.path.islink(left):
        atomic.remove(left)
        atomic.make_folder(left)
    atomic.exchange(left, folder)
    atomic.remove(left)
    download.say(f"{folder} is on the card again")


def clear(query):
    """Remove what is left on the card of models that are whole on the SSD, and that nothing uses."""
    folder, left = query["folder"], query["left"]
    used = prune_models.in_use(left)
    for path in prune_models.models(left):
        target = os.path.join(folder, os.path.basename(path))
        if path in used:
            raise download.NoRoom(f"a process uses {path}; run again once it does not")
        if stamped(target) == stamped(path):
            download.say(f"removed {path} ({prune_models.remove(path) >> 20} MiB)")
    for rest in glob.glob(f"{left}/*.gguf.part") + glob.glob(f"{left}/*.gguf.damaged"):
        os.unlink(rest)
    try:
        os.rmdir(left)
    except OSError as error:
        download.say(f"{left} stays, as it holds what no fetch of ours made: {error.strerror}")


def main(query):
    """Bring the models to `to`, have them `back`, or `clear` up, while no fetch goes on."""
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
        download.say(f"the models stay where they are: {error}")
        return 1
    return 0
