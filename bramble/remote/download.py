"""Download one file from one HTTP source into its partial file: resumed, and refused if it is another.

A source is `{"url", "name", "direct"}`: `name` is what people see, as an address may contain a secret;
a `direct` one is in this network and is asked without a proxy. A `token` is sent to the address' own
host alone: a redirect to another one goes without.
"""

import errno
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request

from bramble.remote import owned, progress, settle

CHUNK_BYTES = 1024 * 1024
RESERVE_BYTES = 256 * 1024**2
# Free space is checked again after this many bytes.
STRETCH_BYTES = 16 * 1024**2
CONNECT_S = 15
STALL_S = 60
# A node that serves an arriving file answers within 20 s, if only that there is nothing new yet.
DIRECT_STALL_S = 30
SLOWEST_BYTES_PER_S = 4096
LONGEST_WAIT_S = 300
ATTEMPTS = 20
# A neighbour that stays silent this often counts as gone.
MOST_SILENT = 3
RESTARTS = 5
HEAD_BYTES = 64
# What servers send in place of a model, by its first bytes.
BEGINNINGS = (
    (b"version https://git-lfs", "a git-lfs pointer"),
    ((b"<!doctype", b"<html"), "a web page"),
    (b"<?xml", "an error in XML"),
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_ERRORS = (*FULL, errno.EROFS, errno.EIO, errno.EACCES, errno.ELOOP, errno.EEXIST)
CHECK = "check the model's address (model.use with model.endpoint, or model.url)"


class FetchError(Exception):
    """A model that one source does not give; the text says what to do."""


class NoRoom(FetchError):
    """A model that this node has no room for, whatever the source."""


class Full(NoRoom):
    """A model whose partial file itself takes the space that must stay free, so that it is removed."""


def size_of(path):
    """Return a file's size; 0 where there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


class Connection(http.client.HTTPConnection):
    """A connection with a shorter time-out for connecting than for reading."""

    def connect(self):
        """Connect, then allow the longer time-out."""
        stall_s, self.timeout = self.timeout, min(self.timeout or CONNECT_S, CONNECT_S)
        super().connect()
        self.sock.settimeout(stall_s)


class SecureConnection(Connection, http.client.HTTPSConnection):
    """The same over TLS, whose handshake counts as connecting."""


class Http(urllib.request.HTTPHandler):
    """The handler of http:// with such connections."""

    def http_open(self, req):
        """Open a request."""
        return self.do_open(Connection, req)


class Https(urllib.request.HTTPSHandler):
    """The handler of https:// with such connections."""

    def https_open(self, req):
        """Open a request."""
        return self.do_open(SecureConnection, req)


class Transfer:
    """One file from one source into its partial file; `size` is the pinned size, None if unknown."""

    def __init__(self, source, part, size, attempts=ATTEMPTS):
        self.url, self.name, self.token = source["url"], source["name"], source.get("token")
        self.part, self.size, self.attempts = part, size, attempts
        self.is_near = source["direct"]
        self.stall_s = DIRECT_STALL_S if self.is_near else STALL_S
        self.most_silent = MOST_SILENT if self.is_near else attempts
        # Hosts of this network are asked without a proxy.
        handlers = [urllib.request.ProxyHandler({})] if self.is_near else []
        self.opener = urllib.request.build_opener(Http(), Https(), *handlers)
        self.restarts = 0
        self.settling = settle.Settling(part, size_of(part))

    def run(self):
        """Download and resume until the file is complete; raise FetchError once nothing arrives."""
        idle = silent = 0
        while idle < self.attempts and silent < self.most_silent:
            before, wait_s, is_silent = size_of(self.part), 0, False
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
                reason, wait_s = self.answered(error), retry_after(error)
            except (OSError, ValueError, http.client.HTTPException) as error:
                if getattr(error, "errno", None) in FULL:
                    raise Full(self.lacks(str(error))) from error
                if getattr(error, "errno", None) in DISK_ERRORS:
                    raise
                refuse_certificate(self.name, error)
                is_silent = True
                reason = str(error) or type(error).__name__
            after = size_of(self.part)
            idle = 0 if after > before else idle + 1
            silent = silent + 1 if is_silent and after == before else 0
            progress.say(f"{reason}; resuming at {after >> 20} MiB")
            time.sleep(max(wait_s, min(idle, 10)))
        raise FetchError(f"nothing came from {self.name} in {idle} attempts; the part is kept")

    def digest(self):
        """Return the sha256 of the partial file as its disk has it."""
        return self.settling.digest(size_of(self.part))

    def begin_anew(self):
        """Discard the hash of a partial file that is written from its beginning again."""
        self.settling.leave()
        self.settling = settle.Settling(self.part)

    def go_on(self):
        """Append what the partial file lacks; return True once the file is complete."""
        have = size_of(self.part)
        if self.size is not None:
            if have > self.size:
                progress.say("the part is longer than the model; starting over")
                os.unlink(self.part)
                have = 0
            if have == self.size:
                return True
            check_space(self.part, self.size - have)
        with self.opener.open(self.request(have), timeout=self.stall_s) as answer:
            head = answer.read(HEAD_BYTES) if answer.status != 206 else b""
            refuse_other_content(self.name, answer, head)
            start, total = self.span(answer, have)
            if total is not None and self.size is None:
                check_space(self.part, total - start)
            elif total is None:
                self.keep_reserve(start, None)
            if not start:
                self.begin_anew()
            with owned.opened(self.part, "ab" if start else "wb") as file:
                done = self.copy(answer, file, start, head, total)
        return total is None or done >= total

    def keep_reserve(self, done, total):
        """Raise Full where the download takes the space that must stay free, however long the file is.

        The room for a file of known length was checked at its beginning; a little of what others wrote
        since is tolerated.
        """
        ahead = STRETCH_BYTES if total is None else -STRETCH_BYTES
        if shutil.disk_usage(os.path.dirname(self.part)).free < RESERVE_BYTES + ahead:
            of = f"of {total >> 20} MiB" if total else "and its source does not say how many it has"
            raise Full(self.lacks(f"{done >> 20} MiB had come, {of}"))

    def lacks(self, why):
        """Say how much room the disk has, and what was needed."""
        folder = os.path.dirname(self.part)
        return (
            f"{folder} has {shutil.disk_usage(folder).free >> 20} MiB free, of which "
            f"{RESERVE_BYTES >> 20} are to stay so, and {self.name} needs more: {why}; free some "
            "or set model.folder"
        )

    def request(self, have):
        """Return the request; urllib does not forward this form of the token on redirects."""
        asked = urllib.request.Request(
            self.url, headers={"Range": f"bytes={have}-"} if have else {}
        )
        if self.token:
            asked.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return asked

    def span(self, answer, have):
        """Return where in the file this answer begins, and how long the file is (None: unknown)."""
        length = answer.headers.get("Content-Length")
        if answer.status == 206:
            found = re.match(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if not found or int(found[1]) != have:
                raise FetchError(
                    f"{self.name} was asked for the bytes from {have} on and sends others "
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
        """Count a restart from the beginning; raise FetchError for a server that can never finish."""
        self.restarts += have > 0
        if self.restarts > RESTARTS:
            raise FetchError(
                f"{self.name} cannot resume, and the connection ended {RESTARTS} times before the "
                "file did; use a server that knows byte ranges"
            )
        if have > 0:
            progress.say("the server cannot resume; starting over")

    def wrong_size(self, found):
        return (
            f"{self.name} is {found} bytes long and {self.size} are pinned: it is another file. The "
            "model in use was left alone; `bramble model lock` shows what changed upstream"
        )

    def is_whole(self, error, have):
        """Return whether status 416 means a complete file; remove a partial one that is too long."""
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
        """Raise FetchError where asking again would give the same answer."""
        if 300 <= error.code < 400:
            raise FetchError(f"{self.name} redirects in a circle; {CHECK}") from None
        said = f"{self.name} answers {error.code} {error.reason}"
        if error.code in (401, 403):
            if self.token:
                raise FetchError(
                    f"{said}: the token that was given does not open it; accept the model's terms on "
                    "the hub, with the account that the token is of"
                ) from None
            raise FetchError(
                f"{said}: it wants a login, and nodes have none. Fetch it onto your computer with "
                "`bramble model pull`, and run again: the nodes get it from there. Or put the file on "
                "a server of yours and set model.endpoint or model.url"
            ) from None
        if error.code < 500 and error.code not in (408, 429):
            raise FetchError(f"{said}; {CHECK}") from None

    def answered(self, error):
        """Describe an answer after which asking again is worthwhile."""
        if self.is_near and error.code == 503:
            return f"{self.name} has nothing new yet"
        return f"the server answered {error.code}"

    def copy(self, answer, file, done, head, total):
        """Copy the answer's body with a counter in MiB; return how many bytes the file has now."""
        slow_since, slow_done, looked_at, chunk = time.monotonic(), done, done, head
        # read1 returns what has arrived: read would wait for a whole chunk and lose it when cut off.
        while chunk or (chunk := answer.read1(CHUNK_BYTES)):
            if self.size is not None and done + len(chunk) > self.size:
                raise FetchError(self.wrong_size(f"at least {done + len(chunk)}"))
            if done - looked_at >= STRETCH_BYTES:
                looked_at = done
                self.keep_reserve(done, total)
            file.write(chunk)
            # Nodes that download from this one get the file as it arrives.
            file.flush()
            done, before, chunk = done + len(chunk), done, b""
            self.settling.upto(done)
            if total and done >> 20 > before >> 20:
                print(f"[{done >> 20}/{total >> 20}] MiB", flush=True)
            now = time.monotonic()
            if now - slow_since >= STALL_S:
                if done - slow_done < SLOWEST_BYTES_PER_S * (now - slow_since):
                    raise TimeoutError(f"less than {SLOWEST_BYTES_PER_S} bytes/s came")
                slow_since, slow_done = now, done
        return done


def retry_after(error):
    """Return how long the server asks to wait, in seconds and within reason."""
    asked = error.headers.get("Retry-After", "")
    return min(int(asked), LONGEST_WAIT_S) if asked.isdigit() else 0


def refuse_certificate(name, error):
    """Raise FetchError for a certificate that is not trusted, as waiting would not help."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        raise FetchError(
            f"the certificate of {name} is not trusted ({reason.verify_message}). A Pi without a clock "
            f"of its own may have a wrong one: this node takes it for {now} UTC"
        ) from None


def refuse_other_content(name, answer, head):
    """Raise FetchError where the content is no model; `head` is empty in the middle of a file."""
    begins = head.lstrip().lower()
    what = next((what for beginning, what in BEGINNINGS if begins.startswith(beginning)), "")
    if "text/html" in answer.headers.get("Content-Type", ""):
        what = what or "a web page"
    if what:
        raise FetchError(f"{name} answers with {what}, not a file; {CHECK}")
    if len(head) >= 4 and head[:4] != b"GGUF":
        raise FetchError(f"{name} is no GGUF file: it begins with {head[:16]!r}; {CHECK}")


def check_space(part, length):
    """Refuse to begin a transfer that would fill the disk."""
    free = shutil.disk_usage(os.path.dirname(part)).free
    if length + RESERVE_BYTES > free:
        kind = NoRoom if free >= RESERVE_BYTES else Full
        raise kind(
            f"{os.path.dirname(part)} has {free >> 20} MiB free and the model needs "
            f"{length >> 20} more, with {RESERVE_BYTES >> 20} kept; free some or set model.folder"
        )
