"""How much of what a unit says the journal keeps: a flood of requests is no flood of lines."""

from __future__ import annotations

from bramble.settings import Section, option


class Log(Section):
    """How many lines of a unit the journal takes; it drops and counts more."""

    interval_s: int = option(
        30, help="The span in which lines are counted, of each unit.", unit="s", ge=1, le=3600
    )
    burst: int = option(
        1000,
        help="Lines of a unit that the journal takes in that span. journald allows a multiple of it "
        "where its disk has much room.",
        ge=100,
        le=1_000_000,
    )
