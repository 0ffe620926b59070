"""A model's header as a node reads it, where this computer cannot reach the address."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

from pyinfra.api import Host

from bramble import remote
from bramble.models.gguf import Header
from bramble.models.source import LIMIT_BYTES, SourceError, of_pieces
from bramble.pyinfra import connection

LEAST_BYTES = 1 << 20
TIMEOUT_S = 120


def by_node(host: Host) -> Callable[[str], Header]:
    """Return a reader of model headers that has the host fetch them, in a few parts."""

    def header(url: str) -> Header:
        start, whole = 0, None

        def more(size: int) -> bytes:
            nonlocal start, whole
            size = min(max(size, LEAST_BYTES), LIMIT_BYTES - start)
            data, whole = _part(host, url, start, size)
            start += len(data)
            return data

        return of_pieces(more, lambda: whole)

    return header


def _part(host: Host, url: str, start: int, size: int) -> tuple[bytes, int | None]:
    query = {"url": url, "start": start, "size": size}
    ok, output = connection.run(host, "read_start", query, TIMEOUT_S)
    try:
        reported = remote.answer(output) if ok else {"problem": output.strip()}
        if "problem" in reported:
            raise SourceError(f"the node cannot read it: {reported['problem']}")
        packed = base64.b64decode(reported["data"], validate=True)
        unpacked = zlib.decompressobj().decompress(packed, size)
        whole = reported["whole"]
        return unpacked, whole if isinstance(whole, int) else None
    except (ValueError, LookupError, TypeError, zlib.error) as error:
        raise SourceError(f"the node's answer cannot be read: {error}") from None
