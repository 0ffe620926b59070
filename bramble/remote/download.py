"""One file from one HTTP source into its part: resumed where it was cut, refused where it is another.

A source is `{"url", "name", "direct"}`: `name` is what people are told, as an address may hold what
nobody should read; one that is `direct` is in this network and asked without a proxy. A `token` is
shown to the address' own host alone: a redirect to another one goes without.
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

from bramble.remote import owned, settle

CHUNK_BYTES = 1024 * 1024
RESERVE_BYTES = 256 * 1024**2
# After so many bytes more the disk is asked again how much is free.
STRETCH_BYTES = 16 * 1024**2
CONNECT_S = 15
STALL_S = 60
# A node that passes a file on answers within 20 s, if only that it has nothing new yet.
DIRECT_STALL_S = 30
SLOWEST_BYTES_PER_S = 4096
LONGEST_WAIT_S = 300
ATTEMPTS = 20
# A neighbour that does not answer so often is not there.
MOST_SILENT = 3
RESTARTS = 5
HEAD_BYTES = 64
# What comes in a model's place, by what it begins with.
BEGINNINGS = (
    (b"version https://git-lfs", "a git-lfs pointer"),
    ((b"<!doctype", b"<html"), "a web page"),
    (b"<?xml", "an error in XML"),
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_ERRORS = (*FULL, errno.EROFS, errno.EIO, errno.EACCES, errno.ELOOP, errno.EEXIST)
CHECK = "check the model's address (model.use with model.endpoint, or model.url)"


class FetchError(Exception):
    """A model that one source does not give; its text says what to do."""


class NoRoom(FetchError):
    """A model that this node has no room for, whoever gives it."""


class Full(NoRoom):
    """The same where the part itself takes what must stay free, so that it has to go."""


def say(text):
    """A line for people; "::" is what the follower passes on. What a server says moves no cursor."""
    print(f":: {''.join(c if c.isprintable() else '?' for c in text)}", flush=True)


def size_of(path):
    """A file's size, 0 where there is none."""
    return os.path.getsize(path) if os.path.exists(path) else 0


class Connection(http.client.HTTPConnection):
    """A connection that is given up sooner than an answer."""

    def connect(self):
        """Connect, and have the longer time for what comes then."""
        stall_s, self.timeout = self.timeout, min(self.timeout or CONNECT_S, CONNECT_S)
        super().connect()
        self.sock.settimeout(stall_s)


class SecureConnection(Connection, http.client.HTTPSConnection):
    """The same over TLS, whose greeting counts as connecting."""


class Http(urllib.request.HTTPHandler):
    """http:// by such connections."""

    def http_open(self, req):
        """Open a request."""
        return self.do_open(Connection, req)


class Https(urllib.request.HTTPSHandler):
    """https:// by such connections."""

    def https_open(self, req):
        """Open a request."""
        return self.do_open(SecureConnection, req)


class Transfer:
    """One file from one source into its part; `size` is what it must have, None if nobody knows."""

    def __init__(self, source, part, size, attempts=ATTEMPTS):
        self.url, self.name, self.token = source["url"], source["name"], source.get("token")
        self.part, self.size, self.attempts = part, size, attempts
        self.is_near = source["direct"]
        self.stall_s = DIRECT_STALL_S if self.is_near else STALL_S
        self.most_silent = MOST_SILENT if self.is_near else attempts
        # What listens in this network is asked without the proxy that leads out of it.
        handlers = [urllib.request.ProxyHandler({})] if self.is_near else []
        self.opener = urllib.request.build_opener(Http(), Https(), *handlers)
        self.restarts = 0
        self.settling = settle.Settling(part, size_of(part))

    def run(self):
        """Download with resumption until the file is whole; give up when nothing moves any more."""
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
            say(f"{reason}; resuming at {after >> 20} MiB")
            time.sleep(max(wait_s, min(idle, 10)))
        raise FetchError(f"nothing came from {self.name} in {idle} attempts; the part is kept")

    def digest(self):
        """The sha256 of the part as its disk has it."""
        return self.settling.digest(size_of(self.part))

    def begin_anew(self):
        """Forget what was hashed of a part that is to be written from its beginning."""
        self.settling.leave()
        self.settling = settle.Settling(self.part)

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
        """End what would take the free space that is to stay, however long the file turns out to be.

        A file of known length had its room when it began; of what others wrote since, a little is
        borne with.
        """
        ahead = STRETCH_BYTES if total is None else -STRETCH_BYTES
        if shutil.disk_usage(os.path.dirname(self.part)).free < RESERVE_BYTES + ahead:
            of = f"of {total >> 20} MiB" if total else "and its source does not say how many it has"
            raise Full(self.lacks(f"{done >> 20} MiB had come, {of}"))

    def lacks(self, why):
        """What a disk without room has, and what was wanted of it."""
        folder = os.path.dirname(self.part)
        return (
            f"{folder} has {shutil.disk_usage(folder).free >> 20} MiB free, of which "
            f"{RESERVE_BYTES >> 20} are to stay so, and {self.name} needs more: {why}; free some "
            "or set model.folder"
        )

    def request(self, have):
        """What is asked; a token is in what urllib does not take along to where it is redirected."""
        asked = urllib.request.Request(
            self.url, headers={"Range": f"bytes={have}-"} if have else {}
        )
        if self.token:
            asked.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return asked

    def span(self, answer, have):
        """Where in the file this answer begins, and how long the file is (None: it does not say)."""
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
        """A server that knows no ranges may never get to the end of a long file."""
        self.restarts += have > 0
        if self.restarts > RESTARTS:
            raise FetchError(
                f"{self.name} cannot resume, and the connection ended {RESTARTS} times before the "
                "file did; use a server that knows byte ranges"
            )
        if have > 0:
            say("the server cannot resume; starting over")

    def wrong_size(self, found):
        return (
            f"{self.name} is {found} bytes long and {self.size} are pinned: it is another file. The "
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
        """What an answer means after which it is worth asking again."""
        if self.is_near and error.code == 503:
            return f"{self.name} has nothing new yet"
        return f"the server answered {error.code}"

    def copy(self, answer, file, done, head, total):
        """Copy the answer's body with a counter in MiB; return how many bytes the file has now."""
        slow_since, slow_done, looked_at, chunk = time.monotonic(), done, done, head
        # read1 gives what has arrived: read would wait for a whole chunk and lose it when cut.
        while chunk or (chunk := answer.read1(CHUNK_BYTES)):
            if self.size is not None and done + len(chunk) > self.size:
                raise FetchError(self.wrong_size(f"at least {done + len(chunk)}"))
            if done - looked_at >= STRETCH_BYTES:
                looked_at = done
                self.keep_reserve(done, total)
            file.write(chunk)
            # Whoever gets the file from here gets it as it arrives.
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
    """How long the server asks to be left alone, in seconds and within reason."""
    asked = error.headers.get("Retry-After", "")
    return min(int(asked), LONGEST_WAIT_S) if asked.isdigit() else 0


def refuse_certificate(name, error):
    """A certificate that is not trusted now will not be in a second."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        raise FetchError(
            f"the certificate of {name} is not trusted ({reason.verify_message}). A Pi without a clock "
            f"of its own may have a wrong one: this node takes it for {now} UTC"
        ) from None


def refuse_other_content(name, answer, head):
    """End where something else than a model comes; `head` is empty in the middle of a file."""
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
