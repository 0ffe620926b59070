"""Fetch one model file to this node: resumed, verified, and only then under its name.

The partial file lies beside its destination: the last step is a rename, and the model that is served
meanwhile is left alone. The stamp records the verified sha256 with the file's size and time, for later
looks. Where one source fails, the next one resumes the partial file.
"""

import contextlib
import fcntl
import json
import os

from bramble.remote import atomic, download, outcome, owned, progress, settle

# The attempts at a source that is not the last, unless it is a neighbour.
FEW_ATTEMPTS = 3


def verify(found, path, wanted, size):
    """Remove a file that is not the pinned one, and raise FetchError; `found` is its sha256."""
    length = download.size_of(path)
    if size not in (None, length):
        os.unlink(path)
        raise download.FetchError(
            f"what arrived is {length} bytes long and {size} are pinned; it was removed"
        )
    if found != wanted:
        os.unlink(path)
        raise download.FetchError(
            f"what arrived has sha256 {found} and {wanted} is pinned. It was removed and the "
            "model in use was left alone; `bramble model lock` shows what changed upstream, and a "
            "model.sha256 of your own may be wrong"
        )


def sha256(path):
    """Return the sha256 of a file as its disk has it."""
    return settle.Settling(path).digest(download.size_of(path))


def transfer(source, part, query, attempts):
    """Download the complete, verified file into `part` from one source."""
    one = download.Transfer(source, part, query["size_bytes"], attempts)
    try:
        one.run()
        progress.say("checking the sha256")
        verify(one.digest(), part, query["sha256"], query["size_bytes"])
    finally:
        one.settling.leave()


def fetch(source, part, query, attempts):
    """Do the same; a damaged partial file of an earlier run or source costs one more transfer."""
    earlier = download.size_of(part)
    if earlier:
        progress.say(f"going on with the {earlier >> 20} MiB that are there")
    try:
        transfer(source, part, query, attempts)
    except download.FetchError as error:
        if not earlier or os.path.exists(part):
            raise
        progress.say(f"{error}. What was there may have been damaged: fetching all of it again")
        transfer(source, part, query, attempts)


def fetch_from_any(part, query):
    """Try the sources in turn; return the name of the one that completed the file."""
    *others, last = query["sources"]
    for source in others:
        progress.say(f"fetching from {source['name']}")
        try:
            fetch(source, part, query, download.ATTEMPTS if source["direct"] else FEW_ATTEMPTS)
        except download.NoRoom:
            raise
        except download.FetchError as error:
            progress.say(f"{error}; trying the next source")
        else:
            return source["name"]
    progress.say(f"fetching from {last['name']}")
    fetch(last, part, query, query.get("attempts") or download.ATTEMPTS)
    return last["name"]


def stamp(path, wanted):
    """Record that this file has this sha256."""
    status = os.stat(path)
    made = {"sha256": wanted, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    atomic.write(f"{path}.json", json.dumps(made), 0o644)


@contextlib.contextmanager
def alone(folder):
    """Lock the folder, as two fetches would write one partial file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise download.NoRoom(
            f"another fetch into {folder} is under way; run again after it"
        ) from None
    finally:
        os.close(descriptor)


def is_there(query):
    """Return whether the file is there already, by its sha256.

    One of another size is not read; one that the disk damaged may look intact in the page cache.
    """
    path = query["path"]
    if not owned.is_plain(path) or os.path.exists(f"{path}.damaged"):
        return False
    if query["size_bytes"] not in (None, download.size_of(path)):
        return False
    progress.say("checking the sha256 of the file that is there")
    return sha256(path) == query["sha256"]


def arrived(part, query):
    """Get the right file into `part`, and return its source; remove it from a disk that it fills."""
    if os.path.lexists(part) and not owned.is_own(part):
        os.unlink(part)
    try:
        if not query["upload"]:
            return fetch_from_any(part, query)
        download.check_space(part, download.size_of(query["upload"]))
        owned.taken(query["upload"], part)
        progress.say("checking the sha256")
        verify(sha256(part), part, query["sha256"], query["size_bytes"])
        return "your computer"
    except (download.Full, OSError) as error:
        if not isinstance(error, download.Full) and error.errno not in download.FULL:
            raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise download.NoRoom(f"{error}. What had come of it was removed") from error
    finally:
        if query["upload"] and os.path.lexists(query["upload"]):
            os.unlink(query["upload"])


def have(query):
    """Ensure that the model is at `path`, from here, a source or `upload`; return where it came from."""
    path, part = query["path"], f"{query['path']}.part"
    whole = is_there(query)
    source = "this node" if whole else arrived(part, query)
    with owned.opened(path if whole else part, "rb") as file:
        os.fchown(file.fileno(), os.geteuid(), os.getegid())
        os.fchmod(file.fileno(), 0o644)
    if not whole:
        atomic.rename(part, path)
        atomic.remove(f"{path}.damaged")
    stamp(path, query["sha256"])
    return source


def main(query):
    """Fetch the model; `upload` is a file that was sent over SSH, `sources` are where to download it.

    Where `attempts` is given, it limits those at the last source.
    """
    folder = os.path.dirname(query["path"])
    try:
        if why := owned.have(folder):
            raise download.NoRoom(why)
        with alone(folder):
            source = have(query)
    except (download.NoRoom, OSError) as error:
        progress.say(f"the model was not fetched: {error}")
        return 1
    except download.FetchError as error:
        # Another host's copy may do.
        outcome.tell(no_source=True)
        progress.say(f"the model was not fetched, no source gives it: {error}")
        return 1
    outcome.tell(source=source)
    progress.say(f"installed {query['path']}, from {source}")
    return 0
