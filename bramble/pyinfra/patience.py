"""Wait for what another host does, and say now and then that one waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

ASK_EVERY_S = 1
TELL_EVERY_S = 30

T = TypeVar("T")


def until(
    ask: Callable[[float], T | None], tell: Callable[[float], None], limit_s: float
) -> T | None:
    """Call `ask` until it returns something; pass it and `tell` the seconds waited.

    Return None where it returns nothing within `limit_s`.
    """
    began = time.monotonic()
    reported: float | None = None
    while True:
        waited_s = time.monotonic() - began
        if (found := ask(waited_s)) is not None:
            return found
        if waited_s > limit_s:
            return None
        if reported is None or waited_s - reported >= TELL_EVERY_S:
            reported = waited_s
            tell(waited_s)
        time.sleep(ASK_EVERY_S)
