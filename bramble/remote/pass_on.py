"""Serve one model file to other nodes over HTTP, also while it is still arriving here.

The server offers one file under a random name, on one address, to the nodes of its run alone, and ends
by itself once it is idle. It sends as much of an arriving file as there is and waits for more; the
receivers verify the sha256, so nobody needs to trust this node.
"""

import json
import os
import secrets
import threading
import time
from http import HTTPStatus

from bramble.remote import guarded

STALL_S = 60
# The longest wait before an answer, if only that there is nothing new.
PATIENCE_S = 20
LOOK_EVERY_S = 0.05
STRETCH_BYTES = 8 * 1024**2
MOST_TAKERS = 4
# Those that download, and those that are told to come again.
MOST_CONNECTIONS, MOST_EACH = 16, 4
IDLE_S = 600


class Server(guarded.Server):
    """A server for one file: `path` once it is complete, before that its part, if its size is known.

    `peers` is a file with the addresses of the allowed nodes, to which a later run adds.
    """

    def __init__(self, address, path, size, peers):
        self.address, self.path, self.size, self.peers = address, path, size, peers
        self.name = f"/{secrets.token_urlsafe(16)}"
        self.takers, self.wanted_at = 0, time.monotonic()
        self.lock = threading.Lock()
        super().__init__(address, Handler, MOST_CONNECTIONS, MOST_EACH, self.is_peer)

    def is_peer(self, address):
        """Return whether a node of this run has this address."""
        with open(self.peers, encoding="utf-8") as file:
            return address in json.load(file)

    def url(self):
        """Return the address at which the others find the file."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{shown}:{self.server_port}{self.name}"

    def take(self, more):
        """Count a download in (1) or out (-1); return False where there are enough."""
        with self.lock:
            if more > 0 and self.takers >= MOST_TAKERS:
                return False
            self.takers += more
            self.wanted_at = time.monotonic()
            return True

    def is_idle(self):
        """Return whether nobody has downloaded anything for a while."""
        with self.lock:
            return not self.takers and time.monotonic() - self.wanted_at > IDLE_S

    def opened(self, start):
        """Return the file, once it has bytes from `start` on, and its size; None after PATIENCE_S."""
        until = time.monotonic() + PATIENCE_S
        while True:
            for path in (self.path, f"{self.path}.part"):
                file, size = self.look(path, start)
                if file is not None:
                    return file, size
            if time.monotonic() > until:
                return None, 0
            time.sleep(LOOK_EVERY_S)

    def look(self, path, start):
        """Open one of the two files, if it has bytes from `start` on or all of it was sent."""
        try:
            file = open(path, "rb")
        except FileNotFoundError:
            return None, 0
        there = os.fstat(file.fileno()).st_size
        if path == self.path:
            size, gives = self.size or there, self.size in (None, there)
        else:
            size, gives = self.size, self.size is not None and start < there <= self.size
        if gives:
            return file, size
        file.close()
        return None, 0


class Handler(guarded.Handler):
    """One request for the file, from its beginning or from where an earlier one ended."""

    timeout = STALL_S
    server: Server

    def do_GET(self):
        """Send what there is from the requested byte on, and what arrives."""
        if self.path != self.server.name:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif not self.server.take(1):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, ("Retry-After", "5"))
        else:
            try:
                self.give(self.first_byte())
            finally:
                self.server.take(-1)

    def give(self, start):
        """Send the file from `start` on; 503 where there is nothing new, 416 past the end."""
        file, size = self.server.opened(start)
        if file is None:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, ("Retry-After", "1"))
            return
        with file:
            if self.begin(start, size):
                self.stream(file, start, size)

    def stream(self, file, at, size):
        """Send what is there with sendfile, and wait for more; any failure ends the answer."""
        number, moved_at = file.fileno(), time.monotonic()
        while at < size:
            status = os.fstat(number)
            count = min(status.st_size, size, at + STRETCH_BYTES) - at
            if count > 0:
                self.connection.sendfile(file, at, count)
                # Pages read for others must not evict the model that is served here.
                os.posix_fadvise(number, 0, at, os.POSIX_FADV_DONTNEED)
                at, moved_at = at + count, time.monotonic()
            elif count < 0 or not status.st_nlink or time.monotonic() - moved_at > PATIENCE_S:
                return
            else:
                time.sleep(LOOK_EVERY_S)


def main(query):
    """Serve `path` on `address` until it is idle; print the address once it can be asked."""
    server = Server(query["address"], query["path"], query["size_bytes"], query["peers"])
    server.start()
    print(f":: {json.dumps({'url': server.url()})}", flush=True)
    while not server.is_idle():
        time.sleep(1)
    return 0
