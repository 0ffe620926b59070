"""A model's header from a file, or from the start of an address."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bramble.models import gguf
from bramble.models.gguf import Header, NeedMore
from bramble.models.hub import TIMEOUT_S, later, why
from bramble.sanitize import number

if TYPE_CHECKING:
    import requests

    Auth = Callable[[requests.PreparedRequest], requests.PreparedRequest]

FIRST_BYTES = 64 << 10
LIMIT_BYTES = 16 << 20
"""The most that is read from an address."""
DEADLINE_S = 60
"""The longest reading of an address; one that sends a byte now and then never runs into a timeout."""

_HOPS = 5
_CONTENT_RANGE = re.compile(r"\s*bytes\s+0-\d+/(\d+|\*)\s*", re.IGNORECASE)
_ANSWERS = {
    401: "it wants a login: download the file and name that",
    403: "it may not be read without a login: download the file and name that",
    404: "there is no such file: correct the address",
    416: "the file is empty: correct the address",
}


class _Nobody:
    """An auth that sends nothing; without one, requests would send a password from ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class SourceError(Exception):
    """Why the header cannot be read, in a sentence that says what to do."""


class SourceUnreachable(SourceError):
    """Whoever has the model does not answer, or not in time."""


def header(model: str, auth: Auth | None = None) -> Header:
    """Return the header of a model, by path or http(s) address; raise SourceError or GgufError."""
    if re.match(r"https?://", model, re.IGNORECASE):
        return _of_url(model, auth or _Nobody())
    return _of_file(Path(model))


def _of_file(path: Path) -> Header:
    try:
        if not path.is_file():
            raise SourceError(f"{path} is no file; give a GGUF file or its http(s) address.")
        with path.open("rb") as file:
            found = _parse(file.read, gguf.LIMIT_BYTES)
        return _whole(found, path.stat().st_size)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None


def _of_url(url: str, auth: Auth) -> Header:
    import requests
    import urllib3

    shown = _shown(url)
    with requests.Session() as session:
        session.max_redirects = _HOPS
        try:
            with session.get(
                url,
                auth=auth,
                headers={
                    "Accept-Encoding": "identity",
                    "Range": f"bytes=0-{LIMIT_BYTES - 1}",
                    "User-Agent": "bramble",
                },
                stream=True,
                timeout=TIMEOUT_S,
            ) as answer:
                size = _size(answer, shown)
                return of_pieces(_pieces(answer, shown), lambda: size)
        except requests.TooManyRedirects:
            raise SourceError(f"{shown} redirects in a circle; correct the address.") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
            raise SourceError(f"{shown} is no address that can be read; correct it.") from None
        except requests.RequestException as error:
            raise SourceUnreachable(
                f"{shown} cannot be read: {why(error)}; try again, correct the address, or download the "
                "file and name that."
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise SourceError(f"{shown} cannot be read: {error}") from None


def of_pieces(more: Callable[[int], bytes], size: Callable[[], int | None]) -> Header:
    """Return the header from pieces; `size` is called for the file's size after that."""
    found = _parse(more, LIMIT_BYTES)
    return _whole(found, size())


def _pieces(answer: requests.Response, shown: str) -> Callable[[int], bytes]:
    """Return a function that reads an answer's next bytes as they arrive, until the deadline."""
    ends = time.monotonic() + DEADLINE_S

    def more(_size: int) -> bytes:
        if time.monotonic() > ends:
            raise SourceUnreachable(
                f"{shown} is too slow: its header did not come within {DEADLINE_S} s; try again, or "
                "download the file and name that."
            )
        piece: bytes = answer.raw.read1(FIRST_BYTES, decode_content=True)
        return piece

    return more


def _shown(url: str) -> str:
    """Return the address without query and fragment; raise SourceError for one with a password."""
    try:
        parts = urlsplit(url)
        place, user = parts.netloc, parts.username
    except ValueError as error:
        raise SourceError(f"The address is not valid: {error}") from None
    if user is not None:
        raise SourceError(
            "The address has a name or password in it, which other users of this computer can see; "
            "download the file and name that."
        )
    return f"{parts.scheme}://{place}{parts.path}"


def _size(answer: requests.Response, shown: str) -> int | None:
    """Return the file's size, where the answer has it; raise SourceError for another part of it."""
    code = answer.status_code
    if code == 206:
        reported = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not reported:
            raise SourceError(f"{shown} answers with another part than the file's start.")
        return None if reported[1] == "*" else int(reported[1])
    if code != 200:
        means = _ANSWERS.get(code, "try again, or download the file and name that")
        if code == 429:
            means = f"it refuses further requests for now; try again {later(answer)}"
        raise SourceError(f"{shown} answers {code} {answer.reason}: {means}.")
    length = answer.headers.get("Content-Length", "")
    # The length of compressed content is not the file's.
    packed = answer.headers.get("Content-Encoding", "identity") not in ("", "identity")
    return number(length) if not packed else None


def _parse(read: Callable[[int], bytes], limit: int) -> Header:
    """Parse the header from as few bytes as it needs."""
    data, want = bytearray(), FIRST_BYTES
    while True:
        while len(data) < want and (piece := read(want - len(data))):
            data += piece
        try:
            return gguf.read(bytes(data))
        except NeedMore as need:
            if len(data) < want:
                raise SourceError(
                    f"The file ends after {len(data)} bytes, within its header: it is cut off. "
                    "Fetch it again."
                ) from None
            if need.size > limit:
                raise SourceError(
                    f"The header takes more than {limit >> 20} MiB, and no more of it is read: "
                    "the file is damaged, or download it and name that."
                ) from None
            want = min(max(need.size, 4 * len(data)), limit)


def _whole(found: Header, size: int | None) -> Header:
    """Return the header; raise SourceError where the file is shorter than it describes."""
    if size is not None and size < found.file_bytes:
        raise SourceError(
            f"The file has {size} bytes, and its header describes {found.file_bytes}: it is cut off. "
            "Fetch it again."
        )
    return found
