"""A web server that serves one file and misbehaves as it is told to."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Whole:
    """Serve what is asked for, the rest of the file with a Range; and how it may go wrong.

    `cut_after` bytes of the body the connection ends, or with `stall` stands still.
    """

    cut_after: int | None = None
    stall: bool = False
    ignore_range: bool = False
    no_length: bool = False
    # Once the file is sent, zeros follow for as long as anybody takes them.
    endless: bool = False
    # A Content-Range of its own in place of the right one; "" for none.
    content_range: str | None = None
    # Another file in the place of the one that is served otherwise.
    instead: bytes | None = None


@dataclass(frozen=True)
class Status:
    """Answer with an error and nothing of the file."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Loop:
    """Redirect to the same address."""


@dataclass(frozen=True)
class Moved:
    """Redirect to another address."""

    url: str


@dataclass(frozen=True)
class Page:
    """Answer with a web page."""


@dataclass(frozen=True)
class Noise:
    """Answer with something that is not HTTP."""


@dataclass
class Server:
    """The file's content, what to do with the next requests, and what was asked and sent."""

    content: bytes
    script: list[Whole | Status | Page | Noise | Loop | Moved] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    sent_bytes: int = 0
    # How often only the beginning was asked for; what that is, if it is not the file's, and how long the
    # file says it is.
    heads: int = 0
    head: tuple[bytes, int] | None = None
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(
    content: bytes, listen: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Serve `content` while the block runs; the script's steps are used up, then all goes well."""
    server = Server(content)
    http = _Quiet((listen, 0), type("Scripted", (_Handler,), {"reported": server}))
    if tls:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    server.url = f"http{'s' if tls else ''}://{listen}:{http.server_port}/model.gguf"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        http.shutdown()
        http.server_close()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    reported: Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: pytest shows what a test prints."""

    def do_GET(self) -> None:
        reported = self.reported
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if part and isinstance((reported.script or [Whole()])[0], Whole):
            self._part(int(part[1]), int(part[2]))
            return
        reported.ranges.append(self.headers.get("Range"))
        reported.tokens.append(self.headers.get("Authorization"))
        step = reported.script.pop(0) if reported.script else Whole()
        if isinstance(step, Status):
            self._status(step.code, *step.headers)
        elif isinstance(step, Loop):
            self._status(302, ("Location", reported.url))
        elif isinstance(step, Moved):
            self._status(302, ("Location", step.url))
        elif isinstance(step, Noise):
            self.wfile.write(b"SSH-2.0-toy\r\n")
        elif isinstance(step, Page):
            self._head(200, "text/html; charset=utf-8", 5)
            self.wfile.write(b"login")
        else:
            self._file(step)

    def _part(self, first: int, last: int) -> None:
        reported = self.reported
        reported.heads += first == 0
        body, size = reported.head or (reported.content, len(reported.content))
        body = body[first : last + 1]
        span = f"bytes {first}-{first + len(body) - 1}/{size}"
        self._head(206, "application/octet-stream", len(body), span=span)
        self.wfile.write(body)

    def _file(self, step: Whole) -> None:
        asked = self.headers.get("Range")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if step.ignore_range:
            first = 0
        content = self.reported.content if step.instead is None else step.instead
        if first and first >= len(content):
            self._status(416, ("Content-Range", f"bytes */{len(content)}"))
            return
        body = content[first:]
        span = f"bytes {first}-{len(content) - 1}/{len(content)}" if first else ""
        span = span if step.content_range is None else step.content_range
        self._head(
            206 if first else 200, "application/octet-stream", len(body), step.no_length, span
        )
        sent = body if step.cut_after is None else body[: step.cut_after]
        self.wfile.write(sent)
        self.reported.sent_bytes += len(sent)
        while step.endless and not self.reported.over.is_set():
            self.wfile.write(bytes(1024 * 1024))
            self.reported.sent_bytes += 1024 * 1024
        if step.stall:
            self.reported.over.wait()
        elif len(sent) < len(body):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _status(self, code: int, *headers: tuple[str, str]) -> None:
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _head(
        self, code: int, kind: str, length: int, no_length: bool = False, span: str = ""
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if span:
            self.send_header("Content-Range", span)
        if not no_length:
            self.send_header("Content-Length", str(length))
        self.end_headers()
