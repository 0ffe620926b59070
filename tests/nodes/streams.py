"""A client of one streamed answer at a time, with its times.

It is of the standard library alone: a client package's own milliseconds would be in every figure.
"""

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATH = "/v1/completions"
TIMEOUT_S = 600
END = b"data: [DONE]"
FULL = (429, 503)


@dataclass(frozen=True)
class Way:
    """How a client reaches a model: the address, its key, and the authority that it trusts."""

    name: str
    host: str
    port: int
    key: str | None = field(default=None, repr=False)
    authority: Path | None = None

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own, which begins with the first request."""
        if self.authority is None:
            return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        trusted = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_S, context=trusted)

    def send(
        self, connection: http.client.HTTPConnection, body: Mapping[str, Any], path: str = PATH
    ) -> None:
        """Send a request for a stream."""
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        connection.request("POST", path, json.dumps({**body, "stream": True}), headers)


@dataclass(frozen=True)
class Answer:
    """What came: status, text, whether its end came, and seconds since the request began."""

    status: int | None
    again_s: str | None = None
    """When to come again, as a refusal tells it."""
    text: str = ""
    is_whole: bool = False
    first_s: float = 0.0
    whole_s: float = 0.0

    @property
    def outcome(self) -> str:
        """The status in words: a stream without its end is no 200, and who is full says until when."""
        if self.status is None:
            return "no answer"
        if self.status in FULL and not (self.again_s or "").isdecimal():
            return f"{self.status} without Retry-After"
        return "cut" if self.status == 200 and not self.is_whole else str(self.status)


def ask(
    way: Way,
    body: Mapping[str, Any],
    connection: http.client.HTTPConnection | None = None,
    path: str = PATH,
) -> Answer:
    """Ask on a connection that is kept, or on one of its own; what came, whatever it is."""
    using = connection or way.connect()
    begun = time.monotonic()
    try:
        return _read(_response(way, using, body, path), begun)
    except (OSError, http.client.HTTPException):
        using.close()
        return Answer(None, whole_s=time.monotonic() - begun)
    finally:
        if connection is None:
            using.close()


def _response(
    way: Way, using: http.client.HTTPConnection, body: Mapping[str, Any], path: str
) -> http.client.HTTPResponse:
    """Send, once more where a kept connection has ended: llama-server ends each after a stream."""
    is_kept = using.sock is not None
    try:
        way.send(using, body, path)
        return using.getresponse()
    except (http.client.RemoteDisconnected, ConnectionError):
        if not is_kept:
            raise
    using.close()
    way.send(using, body, path)
    return using.getresponse()


def _read(response: http.client.HTTPResponse, begun: float) -> Answer:
    """Read an answer to its end, or as far as it comes."""
    text, first_s, is_whole = "", 0.0, False
    try:
        for line in _lines(response):
            if line.startswith(END):
                is_whole = True
            elif response.status == 200 and line.startswith(b"data: "):
                first_s = first_s or time.monotonic() - begun
                text += _text(json.loads(line.removeprefix(b"data: ")))
    except (OSError, http.client.HTTPException):
        is_whole = False
    again_s, whole_s = response.headers["Retry-After"], time.monotonic() - begun
    return Answer(response.status, again_s, text, is_whole, first_s, whole_s)


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while line := response.readline():
        yield line.rstrip()


def _text(part: Mapping[str, Any]) -> str:
    """The text of a part, of a chat or of a completion."""
    choices = part.get("choices") or [{}]
    return choices[0].get("text") or (choices[0].get("delta") or {}).get("content") or ""
