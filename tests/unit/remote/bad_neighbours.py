"""Neighbours who open connections to a server and never come to the end of what they ask."""

import contextlib
import re
import socket
from pathlib import Path

# The finding's own: header lines as long and as many as Python's server takes them.
LINE = b"X-Pad: " + b"a" * 65_000 + b"\r\n"
LINES = 95


def peak_kib(pid):
    """The most memory that a process has had."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])


def threads(pid):
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@contextlib.contextmanager
def asking_without_an_end(port, addresses, lines=LINES):
    """One connection from each address to the loopback, with a request whose head has no end."""
    with contextlib.ExitStack() as stack:
        for address in addresses:
            made = stack.enter_context(socket.socket())
            made.settimeout(20)
            made.bind((address, 0))
            made.connect(("127.0.0.1", port))
            with contextlib.suppress(ConnectionError):  # a server may have had enough
                made.sendall(b"GET / HTTP/1.1\r\n")
                for _ in range(lines):
                    made.sendall(LINE)
        yield
