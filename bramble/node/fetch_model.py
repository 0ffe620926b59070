"""Bring one model file to this node: resumed, verified, and only then in its place.

The partial file lies beside its destination: the last step is a rename, and what is served meanwhile
is left alone. The stamp remembers the verified sha256 with the file's size and time, for later looks.
What was written or read leaves the page cache again: it belongs to the model that is being served.
"""

import contextlib
import errno
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request

CHUNK_BYTES = 1024 * 1024
SYNC_BYTES = 64 * 1024**2
RESERVE_BYTES = 256 * 1024**2
STALL_S = 60
SLOWEST_BYTES_PER_S = 4096
LONGEST_WAIT_S = 300
ATTEMPTS = 20
RESTARTS = 5
HEAD_BYTES = 64
# What comes in a model's place, by what it begins with.
BEGINNINGS = (
    (b"version https://git-lfs", "a git-lfs pointer"),
    ((b"<!doctype", b"<html"), "a web page"),
    (b"<?xml", "an error in XML"),
)
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES)
CHECK = "check the model's address (model.use with model.endpoint, or model.url)"


class FetchError(Exception):
    """A model that cannot be had; its text says what to do."""


def say(text):
    """A line for people; "::" is what the follower passes on."""
    print(f":: {text}", flush=True)


def size_of(path):
    """A file's size, 0 where there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


class Transfer:
    """One file from one address into its part; `size` is what it must have, None if nobody knows."""

    def __init__(self, url, part, size):
        self.url, self.part, self.size = url, part, size
        self.restarts = 0

    def run(self):
        """Download with resumption until the file is whole; give up when nothing moves any more."""
        idle = 0
        while idle < ATTEMPTS:
            before, wait_s = size_of(self.part), 0
            try:
                if self.go_on():
                    return
                reason = "the connection ended early"
            except urllib.error.HTTPError as error:
                if error.code == 416 and before:
                    if self.is_whole(error, before):
                        return
                    continue
                self.refuse(error)
                reason, wait_s = f"the server answered {error.code}", retry_after(error)
            except (OSError, ValueError, http.client.HTTPException) as error:
                if getattr(error, "errno", None) in DISK_ERRORS:
                    raise
                refuse_certificate(self.url, error)
                reason = str(error) or type(error).__name__
            after = size_of(self.part)
            idle = 0 if after > before else idle + 1
            say(f"{reason}; resuming at {after >> 20} MiB")
            time.sleep(max(wait_s, min(idle, 10)))
        raise FetchError(f"nothing came from {self.url} in {ATTEMPTS} attempts; the part is kept")

    def go_on(self):
        """Append what the part lacks; True once the file is whole."""
        have = size_of(self.part)
        if self.size is not None:
            if have > self.size:
                say("the part is longer than the model; starting over")
                os.unlink(self.part)
                have = 0
            if have == self.size:
                return True
            check_space(self.part, self.size - have)
        request = urllib.request.Request(
            self.url, headers={"Range": f"bytes={have}-"} if have else {}
        )
        with urllib.request.urlopen(request, timeout=STALL_S) as answer:
            head = answer.read(HEAD_BYTES) if answer.status != 206 else b""
            refuse_other_content(self.url, answer, head)
            start, total = self.span(answer, have)
            if total is not None and self.size is None:
                check_space(self.part, total - start)
            with open(self.part, "ab" if start else "wb") as file:
                done = self.copy(answer, file, start, head, total)
        return total is None or done >= total

    def span(self, answer, have):
        """Where in the file this answer begins, and how long the file is (None: it does not say)."""
        length = answer.headers.get("Content-Length")
        if answer.status == 206:
            found = re.match(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if not found or int(found[1]) != have:
                raise FetchError(
                    f"{self.url} was asked for the bytes from {have} on and sends others "
                    f"({answer.headers.get('Content-Range')}); use a server that knows byte ranges"
                )
            start, total = have, None if found[2] == "*" else int(found[2])
        else:
            start, total = 0, int(length) if length else None
            self.count_restart(have)
        if self.size is not None:
            if total not in (None, self.size):
                raise FetchError(self.wrong_size(total))
            total = self.size
        return start, total

    def count_restart(self, have):
        """A server that knows no ranges may never get to the end of a long file."""
        self.restarts += have > 0
        if self.restarts > RESTARTS:
            raise FetchError(
                f"{self.url} cannot resume, and the connection ended {RESTARTS} times before the file "
                "did; use a server that knows byte ranges"
            )
        if have > 0:
            say("the server cannot resume; starting over")

    def wrong_size(self, found):
        return (
            f"{self.url} is {found} bytes long and {self.size} are pinned: it is another file. The "
            "model in use was left alone; `bramble model lock` tells what changed upstream"
        )

    def is_whole(self, error, have):
        """Whether "no such range" (416) means that the part has all of it; a part too long goes."""
        found = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        total = int(found[1]) if found else None
        if self.size is not None and have < self.size:
            raise FetchError(self.wrong_size(total if total is not None else f"at most {have}"))
        if total is None or have == total:
            return True
        self.count_restart(have)
        os.unlink(self.part)
        return False

    def refuse(self, error):
        """End where asking again would give the same answer."""
        if 300 <= error.code < 400:
            raise FetchError(f"{self.url} redirects in a circle; {CHECK}") from None
        if error.code in (401, 403):
            raise FetchError(
                f"{self.url} answers {error.code} {error.reason}: it wants a login, and nodes have "
                "none. Put a gated model's file on a server of yours and set model.endpoint or "
                "model.url"
            ) from None
        if error.code < 500 and error.code not in (408, 429):
            raise FetchError(f"{self.url} answers {error.code} {error.reason}; {CHECK}") from None

    def copy(self, answer, file, done, head, total):
        """Copy the answer's body with a counter in MiB; return how many bytes the file has now."""
        synced, slow_since, slow_done, chunk = done, time.monotonic(), done, head
        # read1 gives what has arrived: read would wait for a whole chunk and lose it when cut.
        while chunk or (chunk := answer.read1(CHUNK_BYTES)):
            if self.size is not None and done + len(chunk) > self.size:
                raise FetchError(self.wrong_size(f"at least {done + len(chunk)}"))
            file.write(chunk)
            done, before, chunk = done + len(chunk), done, b""
            if total and done >> 20 > before >> 20:
                print(f"[{done >> 20}/{total >> 20}] MiB", flush=True)
            if done - synced >= SYNC_BYTES:
                sync(file)
                synced = done
            now = time.monotonic()
            if now - slow_since >= STALL_S:
                if done - slow_done < SLOWEST_BYTES_PER_S * (now - slow_since):
                    raise TimeoutError(f"less than {SLOWEST_BYTES_PER_S} bytes/s came")
                slow_since, slow_done = now, done
        sync(file)
        return done


def retry_after(error):
    """How long the server asks to be left alone, in seconds and within reason."""
    asked = error.headers.get("Retry-After", "")
    return min(int(asked), LONGEST_WAIT_S) if asked.isdigit() else 0


def refuse_certificate(url, error):
    """A certificate that is not trusted now will not be in a second."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        raise FetchError(
            f"the certificate of {url} is not trusted ({reason.verify_message}). A Pi without a clock "
            f"of its own may have a wrong one: this node takes it for {now} UTC"
        ) from None


def refuse_other_content(url, answer, head):
    """End where something else than a model comes; `head` is empty in the middle of a file."""
    begins = head.lstrip().lower()
    what = next((what for beginning, what in BEGINNINGS if begins.startswith(beginning)), "")
    if "text/html" in answer.headers.get("Content-Type", ""):
        what = what or "a web page"
    if what:
        raise FetchError(f"{url} answers with {what}, not a file; {CHECK}")
    if len(head) >= 4 and head[:4] != b"GGUF":
        raise FetchError(f"{url} is no GGUF file: it begins with {head[:16]!r}; {CHECK}")


def sync(file):
    """Bring what was written to the disk, and out of the page cache."""
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def check_space(part, length):
    """Refuse to begin a transfer that would fill the disk."""
    free = shutil.disk_usage(os.path.dirname(part)).free
    if length + RESERVE_BYTES > free:
        raise FetchError(
            f"{os.path.dirname(part)} has {free >> 20} MiB free and the model needs "
            f"{length >> 20} more, with {RESERVE_BYTES >> 20} kept; free some or set model.folder"
        )


def sha256(path):
    """The sha256 of a file, as hexadecimal."""
    made, done, total = hashlib.sha256(), 0, size_of(path)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            made.update(chunk)
            done += len(chunk)
            print(f"[{done >> 20}/{total >> 20}] MiB", flush=True)
            if done % SYNC_BYTES == 0:
                os.posix_fadvise(file.fileno(), 0, done, os.POSIX_FADV_DONTNEED)
    return made.hexdigest()


def verify(path, wanted, size):
    """Refuse a file that is not the pinned one; what arrived is thrown away."""
    say("checking the sha256")
    length = size_of(path)
    if size not in (None, length):
        os.unlink(path)
        raise FetchError(f"what arrived is {length} bytes long and {size} are pinned; thrown away")
    found = sha256(path)
    if found != wanted:
        os.unlink(path)
        raise FetchError(
            f"what arrived has sha256 {found} and {wanted} is pinned. It was thrown away and the "
            "model in use was left alone; `bramble model lock` tells what changed upstream, and a "
            "model.sha256 of your own may be wrong"
        )


def fetch(url, part, wanted, size):
    """Have the whole and right file in `part`; one that an earlier run left damaged costs another."""
    earlier = size_of(part)
    if earlier:
        say(f"going on with the {earlier >> 20} MiB that an earlier run left")
    Transfer(url, part, size).run()
    try:
        verify(part, wanted, size)
    except FetchError as error:
        if not earlier:
            raise
        say(f"{error}. The earlier run's part may have been damaged: fetching all of it anew")
        Transfer(url, part, size).run()
        verify(part, wanted, size)


def stamp(path, wanted):
    """Remember that this file has this sha256."""
    status = os.stat(path)
    made = {"sha256": wanted, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    with open(f"{path}.json.new", "w", encoding="utf-8") as file:
        json.dump(made, file)
        sync(file)
    os.rename(f"{path}.json.new", f"{path}.json")
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextlib.contextmanager
def alone(folder):
    """Hold the folder: two fetches would write one part."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise FetchError(f"another fetch into {folder} is under way; run again after it") from None
    finally:
        os.close(descriptor)


def have(query):
    """Have the model at `path`: as it is there, or from `url` or `upload`."""
    path, wanted, size = query["path"], query["sha256"], query["size_bytes"]
    part, damaged = f"{path}.part", f"{path}.damaged"
    # One of another size need not be read; one that the disk damaged may be whole in the page cache.
    if os.path.exists(path) and size in (None, size_of(path)) and not os.path.exists(damaged):
        say("checking the sha256 of the file that is there")
        if sha256(path) == wanted:
            os.chmod(path, 0o644)
            stamp(path, wanted)
            return
    if query["upload"]:
        shutil.copyfile(query["upload"], part)
        os.unlink(query["upload"])
        verify(part, wanted, size)
    else:
        say(f"fetching {query['url']}")
        fetch(query["url"], part, wanted, size)
    os.chmod(part, 0o644)
    os.rename(part, path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(damaged)
    stamp(path, wanted)


def main(query):
    """Bring the model; `upload` is a file that came over SSH."""
    folder = os.path.dirname(query["path"])
    os.makedirs(folder, exist_ok=True)
    try:
        with alone(folder):
            have(query)
    except (FetchError, OSError) as error:
        say(f"the model was not fetched: {error}")
        return 1
    say(f"installed {query['path']}")
    return 0
