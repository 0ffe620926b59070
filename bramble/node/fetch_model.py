"""Bring one model file to this node: resumed, verified, and only then in its place.

The partial file lies beside its destination, so that the last step is a rename. The stamp beside it
remembers the verified sha256 with the file's size and time, so that later looks need not read
gigabytes again.
"""

import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request

CHUNK_BYTES = 1024 * 1024
STALL_S = 60
ATTEMPTS = 20
RESERVE_BYTES = 256 * 1024**2


class FetchError(Exception):
    """A model that cannot be had; its text says what to do."""


def say(text):
    """A line for people; "::" is what the follower passes on."""
    print(f":: {text}", flush=True)


def download(url, part):
    """Append what `part` lacks; True once the server has sent the whole file."""
    have = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=STALL_S) as answer:
        if "text/html" in answer.headers.get("Content-Type", ""):
            raise FetchError(f"{url} answers with a web page, not a file; check model.url")
        resumed = answer.status == 206
        length = int(answer.headers.get("Content-Length") or 0)
        total = length + (have if resumed else 0)
        check_space(part, length)
        with open(part, "ab" if resumed else "wb") as file:
            done = copy(answer, file, have if resumed else 0, total)
    return not total or done >= total


def copy(answer, file, done, total):
    """Copy the answer's body with a counter in MiB; return how many bytes the file has now."""
    # read1 gives what has arrived: read would wait for a whole chunk and lose it with the connection.
    while chunk := answer.read1(CHUNK_BYTES):
        file.write(chunk)
        done += len(chunk)
        if total and done >> 20 > (done - len(chunk)) >> 20:
            print(f"[{done >> 20}/{total >> 20}] MiB", flush=True)
    file.flush()
    os.fsync(file.fileno())
    return done


def check_space(part, length):
    """Refuse to begin a transfer that would fill the disk."""
    free = shutil.disk_usage(os.path.dirname(part)).free
    if length + RESERVE_BYTES > free:
        raise FetchError(
            f"{os.path.dirname(part)} has {free >> 20} MiB free and the model needs "
            f"{length >> 20} more, with {RESERVE_BYTES >> 20} kept; free some or set model.folder"
        )


def fetch(url, part):
    """Download with resumption until the file is whole; give up when nothing moves any more."""
    idle = 0
    while idle < ATTEMPTS:
        before = os.path.getsize(part) if os.path.exists(part) else 0
        try:
            if download(url, part):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return
            if error.code < 500 and error.code not in (408, 429):
                raise FetchError(
                    f"{url} answers {error.code} {error.reason}; check model.url"
                ) from None
            reason = f"the server answered {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        after = os.path.getsize(part) if os.path.exists(part) else 0
        idle = 0 if after > before else idle + 1
        say(f"{reason}; resuming at {after >> 20} MiB")
        time.sleep(min(idle, 10))
    raise FetchError(f"nothing came from {url} in {ATTEMPTS} attempts; the part is kept")


def sha256(path):
    """The sha256 of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path, wanted):
    """Refuse a file that is not the pinned one; what arrived is thrown away."""
    found = sha256(path)
    if found != wanted:
        os.unlink(path)
        raise FetchError(
            f"what arrived has sha256 {found} and the inventory pins {wanted}. It was thrown away "
            "and the model in use was left alone; correct model.sha256, or ask who changed the file"
        )


def place(part, path, wanted):
    """Give a verified file its mode, stamp and name."""
    os.chmod(part, 0o644)
    status = os.stat(part)
    stamp = {"sha256": wanted, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    with open(f"{path}.json.new", "w", encoding="utf-8") as file:
        json.dump(stamp, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
    os.rename(f"{path}.json.new", f"{path}.json")
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def main(query):
    """Have the model at `path`: from `url`, or from `upload`, a file that came over SSH."""
    path = query["path"]
    part = f"{path}.part"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        if os.path.exists(path) and sha256(path) == query["sha256"]:
            os.rename(path, part)
        elif query["upload"]:
            shutil.copyfile(query["upload"], part)
            os.unlink(query["upload"])
        else:
            say(f"fetching {query['url']}")
            fetch(query["url"], part)
        say("checking the sha256")
        verify(part, query["sha256"])
        place(part, path, query["sha256"])
    except (FetchError, OSError) as error:
        say(f"the model was not fetched: {error}")
        return 1
    say(f"installed {path}")
    return 0
