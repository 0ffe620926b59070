"""Serve a few files over HTTP, for as long as standard input is open: a separate program.

It is no thread of a deploy, whose greenlets would starve it; and as it ends with its input, it
outlives no deploy, however that one ends. Each line of input is an offer, `{"name", "path", "peers"}`:
a file, and the addresses of those who ask for it, whom it lets in from then on. It is answered with a
line once the file can be had; any other name is not found. The first line that it prints is its port.
"""

import json
import sys
from http import HTTPStatus

from bramble import computer
from bramble.remote import guarded

PATIENCE_S = 30
# Several nodes may share one address behind NAT.
MOST_CONNECTIONS, MOST_EACH = 256, 64


class Server(guarded.Server):
    """A server for one address, with what is offered by name."""

    def __init__(self, address: str) -> None:
        self.offers: dict[str, str] = {}
        self.peers: set[str] = set()
        super().__init__(address, Handler, MOST_CONNECTIONS, MOST_EACH, self.peers.__contains__)


class Handler(guarded.Handler):
    """One request for one file."""

    timeout = PATIENCE_S
    server: Server

    def do_GET(self) -> None:
        """Send the file of this name, or the rest of it."""
        path = self.server.offers.get(self.path.removeprefix("/"))
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with open(path, "rb") as file:
            start = self.first_byte()
            if self.begin(start, file.seek(0, 2)):
                computer.send_file(self.connection, file, start)


def main(address: str) -> None:
    """Serve what standard input offers, until it ends."""
    server = Server(address)
    server.start()
    print(server.server_address[1], flush=True)
    for line in sys.stdin:
        offer = json.loads(line)
        server.peers.update(offer["peers"])
        server.offers[offer["name"]] = offer["path"]
        print("offered", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
