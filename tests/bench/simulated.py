"""Simulated nodes: SSH servers that answer every look as one virtual Pi did, however many there are.

    python tests/bench/simulated.py COUNT FOLDER

Writes an inventory of them into FOLDER, prints a line, and serves until its input ends. They are a
process of their own, so that what they compute is no part of what the deploying computer does.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path

import paramiko

from tests.deploys.ssh_double import KEY, Node, Server, write_inventory
from tests.unit.looks import recorded_look

LOOK = f"{json.dumps(recorded_look())}\n".encode()
ANSWER = b'{"answer": " 2+2 is 4.", "tokens_per_second": 9.5, "build": "b1"}\n'
ASKS = b'"max_tokens"'
SETTINGS = {
    "model": {"name": "toy", "url": "http://models.example.org/toy.gguf", "sha256": "d" * 64}
}


class Recorded(Node):
    """A connection that is answered from the recorded look, or with an answer of a model."""

    def said(self, command, stdin):
        """Answer what is asked, by the program that came in."""
        return 0, ANSWER if ASKS in stdin else LOOK, b""


class Simulated(Server):
    """One node."""

    def meet(self, client):
        """Serve one connection."""
        transport = paramiko.Transport(client)
        transport.add_server_key(KEY)
        node = Recorded(self)
        node.transport = transport
        with suppress(OSError, EOFError, paramiko.SSHException):
            transport.start_server(server=node)


def names(count: int) -> list[str]:
    """The names of so many."""
    return [f"sim-{number:03}" for number in range(1, count + 1)]


def main(count: int, folder: Path) -> None:
    """Serve until nobody is there any more."""
    servers = [Simulated(name) for name in names(count)]
    write_inventory(folder, servers, SETTINGS)
    print("ready", flush=True)
    sys.stdin.read()
    for server in servers:
        server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
