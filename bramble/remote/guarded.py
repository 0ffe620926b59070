"""An HTTP server for known neighbours only, none of which can take much memory or time.

Connections from unknown addresses are closed before a byte is read. The number of connections is
bounded, in all and for each address; a request's head must be short and arrive soon.
"""

import io
import re
import socket
import socketserver
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD_BYTES = 8 * 1024
HEAD_S = 10
# A small stack, as there may be many threads.
STACK_BYTES = 256 * 1024


class Server(ThreadingHTTPServer):
    """A server on one address with at most `most` connections, `each` of them from one neighbour.

    `knows` tells whether an address is a neighbour's; where it raises OSError or ValueError, it is not.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, handler, most, each, knows):
        self.most, self.each, self.knows, self.open = most, each, knows, {}
        self.counting = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), handler)

    def start(self):
        """Serve in threads of their own, each with a small stack."""
        threading.stack_size(STACK_BYTES)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_bind(self):
        """Bind without asking a name server for this computer's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def verify_request(self, request, client_address):
        """Return whether to accept a connection, which counts until it ends."""
        address = client_address[0]
        with self.counting:
            its = sum(other == address for other in self.open.values())
            if its >= self.each or len(self.open) >= self.most or not self.is_neighbour(address):
                return False
            self.open[request] = address
        return True

    def is_neighbour(self, address):
        """Return whether the address is known; an exception here would end the whole server."""
        try:
            return self.knows(address)
        except (OSError, ValueError):
            return False

    def shutdown_request(self, request):
        """Close a connection, whether or not it was accepted."""
        with self.counting:
            self.open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """Ignore a neighbour that goes away."""


class Handler(BaseHTTPRequestHandler):
    """One request, without a body, on one connection."""

    def setup(self):
        """Read the request's head within its time and size limits."""
        super().setup()
        self.rfile = io.BytesIO(self.head())
        self.connection.settimeout(self.timeout)

    def head(self):
        """Return the request's head; empty where none arrives in time."""
        until, found = time.monotonic() + HEAD_S, b""
        while b"\r\n\r\n" not in found:
            self.connection.settimeout(max(0.001, until - time.monotonic()))
            chunk = self.connection.recv(HEAD_BYTES)
            if not chunk or len(found) + len(chunk) > HEAD_BYTES or time.monotonic() > until:
                return b""
            found += chunk
        return found

    def first_byte(self):
        """Return the first byte that the request asks for; 0 for the whole file."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked else 0

    def begin(self, start, size):
        """Send the head of an answer with a file's bytes from `start` on; return False past its end."""
        if start and start >= size:
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            self.refuse(status, ("Content-Range", f"bytes */{size}"))
            return False
        self.send_response(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        return True

    def refuse(self, status, *headers):
        """Send an answer without a body."""
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format, *args):
        """Print nothing: the deploy reports who got what."""
