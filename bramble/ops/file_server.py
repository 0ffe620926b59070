"""Serve a few files over HTTP, for as long as standard input is open: a program of its own.

It is no thread of a deploy, whose greenlets would starve it; and as it ends with its input, it
outlives no deploy, however that one ends. Each line of input is an offer, `{"name", "path"}`, which
is answered with a line once it can be had; any other name is not found. The first line that it
prints is its port.
"""

import json
import re
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE_S = 30


class Server(ThreadingHTTPServer):
    """A server for one address, with what is offered by name."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str) -> None:
        self.offers: dict[str, str] = {}
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), Handler)

    def server_bind(self) -> None:
        """Bind, and ask no name server for this computer's name."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """A node that goes away says so itself."""


class Handler(BaseHTTPRequestHandler):
    """One request for one file."""

    timeout = PATIENCE_S
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the deploy tells who got what."""

    def do_GET(self) -> None:
        """Send the file of this name, or the rest of it, by the kernel where it can."""
        path = self.server.offers.get(self.path.removeprefix("/"))
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        with open(path, "rb") as file:
            start, size = int(asked[1]) if asked else 0, file.seek(0, 2)
            if start and start >= size:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(size - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.end_headers()
            self.connection.sendfile(file, start)


def main(address: str) -> None:
    """Serve what standard input offers, until it ends."""
    server = Server(address)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for line in sys.stdin:
        offer = json.loads(line)
        server.offers[offer["name"]] = offer["path"]
        print("offered", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
