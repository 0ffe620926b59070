"""A web server that takes whatever comes, and remembers it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """What was received (method, path, headers, body), and with which codes to answer next."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), Handler)
        self.got: list[tuple[str, str, dict[str, str], str]] = []
        self.codes: list[int] = []
        self.url = f"http://{address}:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Takes GET and POST alike."""

    server: Receiver

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.got.append((self.command, self.path, dict(self.headers), body.decode()))
        code = self.server.codes.pop(0) if self.server.codes else 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET


@contextmanager
def receiving(address: str = "127.0.0.1") -> Iterator[Receiver]:
    """A receiver on a free port of an address of this computer."""
    with Receiver(address) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, daemon=True)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join(60)
        assert not thread.is_alive()
