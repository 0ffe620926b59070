"""An HTTP server for known neighbours alone, in which none of them can take much memory or time.

Whoever is not known is let go before a byte of his is read. All others together have a bounded number
of connections, each address few of them; a request's head is short and comes soon, or not at all.
"""

import io
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD_BYTES = 8 * 1024
HEAD_S = 10
# What a thread may take of its stack is what many of them must not take of the node.
STACK_BYTES = 256 * 1024


class Server(ThreadingHTTPServer):
    """A server on one address for `most` connections of neighbours, `each` of one of them.

    Whom it `knows` is a neighbour.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, handler, most, each):
        self.most, self.each, self.open = most, each, {}
        self.counting = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), handler)

    def knows(self, address):
        """Whether this is the address of a neighbour who may ask."""
        raise NotImplementedError

    def server_bind(self):
        """Bind, and ask no name server for this computer's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def verify_request(self, request, client_address):
        """Whether a connection is taken, and counted until it ends."""
        address = client_address[0]
        with self.counting:
            its = sum(other == address for other in self.open.values())
            if its >= self.each or len(self.open) >= self.most or not self.knows(address):
                return False
            self.open[request] = address
        return True

    def shutdown_request(self, request):
        """End a connection, whether or not it was taken."""
        with self.counting:
            self.open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A neighbour that goes away says so itself."""


class Handler(BaseHTTPRequestHandler):
    """One request, which has no body, on one connection."""

    def setup(self):
        """Read the request's head, all of it within its time and bound."""
        super().setup()
        self.rfile = io.BytesIO(self.head())
        self.connection.settimeout(self.timeout)

    def head(self):
        """The head; nothing of a request whose head is none."""
        until, found = time.monotonic() + HEAD_S, b""
        while b"\r\n\r\n" not in found:
            self.connection.settimeout(max(0.001, until - time.monotonic()))
            chunk = self.connection.recv(HEAD_BYTES)
            if not chunk or len(found) + len(chunk) > HEAD_BYTES or time.monotonic() > until:
                return b""
            found += chunk
        return found

    def log_message(self, format, *args):
        """Keep quiet: the deploy tells who got what."""
