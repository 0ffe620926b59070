"""A web server whose file never ends until it is told to hurry, so that what fetches it takes long."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EVERY_S = 0.1
LAST_BYTES = 1000
"""What is held back, byte by byte, as long as nobody hurries."""


@dataclass
class Drip:
    """What is served, how often it was asked for, and how much of it was sent."""

    content: bytes
    url: str = ""
    requests: int = 0
    sent_bytes: int = 0
    hurry: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    drip: Drip

    def log_message(self, format, *args):
        """Keep quiet."""

    def do_GET(self):
        drip, asked = self.drip, self.headers.get("Range", "")
        if asked and not asked.endswith("-"):  # the header of a model alone
            first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            self._answer(206, first, drip.content[first : last + 1])
            return
        drip.requests += 1
        first = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        self._answer(206 if first else 200, first, b"")
        place = first
        while place < len(drip.content):
            left = len(drip.content) - place
            size = left if drip.hurry.wait(EVERY_S) else left // 200 if left > LAST_BYTES else 1
            self.wfile.write(drip.content[place : place + size])
            place += size
            drip.sent_bytes += size

    def _answer(self, code, first, body):
        size = len(self.drip.content)
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) or size - first))
        if code == 206:
            last = first + len(body) - 1 if body else size - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        self.wfile.write(body)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Who reads a header goes away in the middle."""


@contextmanager
def dripping(content, listen):
    """Serve `content` while the block runs."""
    drip = Drip(content)
    http = _Quiet((listen, 0), type("Dripping", (_Handler,), {"drip": drip}))
    drip.url = f"http://{listen}:{http.server_port}/model.gguf"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield drip
    finally:
        drip.hurry.set()
        http.shutdown()
        http.server_close()
        thread.join()
