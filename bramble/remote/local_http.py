"""An HTTP client for what listens on this node: no proxy, no TLS, one request per connection.

The library's clients import TLS and mail parsers, which takes a Pi longer than the request itself.
"""

import json
import re
import socket

URL = re.compile(r"http://(\[[^]]+\]|[^/:]+):(\d+)(/\S*)?")
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
LINE_BYTES, LINES = 8192, 200
LARGEST_BYTES = 16 * 1024 * 1024


class HttpError(ValueError):
    """An unusable answer: not HTTP, cut short, or another status than 200."""


class StatusError(HttpError):
    """An answer with another status than 200."""

    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body[:200].decode('utf-8', 'replace')}")
        self.status = status


def exchange(url, timeout_s, body=None, limit=LARGEST_BYTES, path_of_socket=None, heads=None):
    """Return the status and up to `limit` bytes of the URL's answer; raise OSError or HttpError.

    The request is HTTP/1.0, whose answers end with the connection. llama-server's router sends what a
    model answers in chunks all the same. It goes to a socket of the file system where one is named, and
    has further `heads`, by their names.
    """
    named = URL.fullmatch(url)
    if named is None:
        raise HttpError(f"{url} is no address of this node's: http://ADDRESS:PORT/PATH")
    host, port, path = named.groups()
    lines = [f"{'GET' if body is None else 'POST'} {path or '/'} HTTP/1.0", f"Host: {host}"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (heads or {}).items()]
    place = path_of_socket or (host.strip("[]"), int(port))
    with connected(place, timeout_s) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        with connection.makefile("rb") as answer:
            status, length, in_chunks = head(answer)
            found = chunks(answer, limit) if in_chunks else answer.read(limit)
    if length is not None and len(found) < min(length, limit):
        raise HttpError(f"the answer broke off after {len(found)} of {length} bytes")
    return status, found


def connected(place, timeout_s):
    """Return a connection to an address, or to a socket of the file system."""
    if isinstance(place, tuple):
        return socket.create_connection(place, timeout_s)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_s)
        connection.connect(place)
    except OSError:
        connection.close()
        raise
    return connection


def head(answer):
    """Return an answer's status, the length that it announces, or None, and whether it is in chunks."""
    first = answer.readline(LINE_BYTES)
    found = STATUS.match(first)
    if found is None:
        raise HttpError(
            f"this is not HTTP: {first[:80]!r}" if first else "it closed the connection"
        )
    length, in_chunks = None, False
    for _ in range(LINES):
        line = answer.readline(LINE_BYTES)
        if line in (b"\r\n", b"\n"):
            return int(found[1]), length, in_chunks
        if not line.endswith(b"\n"):
            raise HttpError("the answer broke off in its head")
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        in_chunks |= name.lower() == b"transfer-encoding" and value.strip().lower() == b"chunked"
    raise HttpError(f"the answer's head has more than {LINES} lines")


def chunks(answer, limit):
    """Return up to `limit` bytes of an answer in chunks, each after a line with its size (RFC 9112)."""
    found = b""
    while len(found) < limit:
        line = answer.readline(LINE_BYTES)
        if not line.endswith(b"\n"):
            raise HttpError(f"the answer broke off after {len(found)} bytes")
        size = int(line.partition(b";")[0], 16)
        if size <= 0:
            return found
        piece = answer.read(min(size, limit - len(found)))
        found += piece
        if len(found) < limit and (len(piece) < size or not answer.readline(LINE_BYTES)):
            raise HttpError(f"the answer broke off after {len(found)} bytes")
    return found


def post(url, value, timeout_s, way=None):
    """Return the JSON that the URL answers to JSON with status 200; raise OSError or ValueError.

    `way` has the `socket` of the file system and the `heads` by which something else leads there.
    """
    place, heads = (way or {}).get("socket"), (way or {}).get("heads")
    body = json.dumps(value).encode()
    status, found = exchange(url, timeout_s, body, path_of_socket=place, heads=heads)
    if status != 200:
        raise StatusError(status, found)
    return json.loads(found)
