"""For Nagios, Icinga and their like: one line with performance data, and their exit codes."""

from __future__ import annotations

from collections.abc import Sequence

from bramble.checks import Result, Status
from bramble.reporting.results import ORDER, WELL, Checked, counts, one_line, worst, wrong

STATES: dict[Status, tuple[str, int]] = {
    "fail": ("CRITICAL", 2),
    "unknown": ("UNKNOWN", 3),
    "warn": ("WARNING", 1),
    "pass": ("OK", 0),
    "skip": ("OK", 0),
}
# From which number on it is a warning, and critical: ranges of the plugins' guidelines.
_LIMITS = {"fail": ";0", "unknown": "0;", "warn": "0;"}
# What follows a bar is performance data; the others may reach a shell with a notification
# (illegal_macro_output_chars of nagios.cfg). Of a semicolon Nagios makes a colon.
_NOT_PASSED_ON = str.maketrans({**dict.fromkeys("`~$&|'\"<>", "?"), ";": ","})
_LONGEST = 300
"""Of what is wrong: a telephone shows less, and NRPE of old cut a line at 1024 bytes."""


def text(checked: Checked) -> str:
    """Return the line."""
    found, bad = checked.hosts, wrong(checked.results)
    well = sum(worst(results) in WELL for results in found.values())
    said = f"{well} of {len(found)} hosts {'is' if well == 1 else 'are'} well"
    if bad:
        ordered = sorted(bad, key=lambda result: ORDER.index(result.status))
        said += f" - {_shortened(ordered)}"
    return f"{STATES[worst(checked.results)][0]}: {said} | {_performance(checked.results)}\n"


def exit_code(checked: Checked) -> int:
    """Return 0 for OK, 1 for WARNING, 2 for CRITICAL, 3 for UNKNOWN."""
    return STATES[worst(checked.results)][1]


def _shortened(results: Sequence[Result]) -> str:
    """Name what is wrong, the worst first, in one line that is not too long."""
    words = ", ".join(f"{r.host} {r.role}.{r.check}: {one_line(r.got)}" for r in results)
    short = words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ..."
    return short.translate(_NOT_PASSED_ON)


def _performance(results: Sequence[Result]) -> str:
    return " ".join(
        f"{status}={number};{_LIMITS.get(status, ';')};0;{len(results)}"
        for status, number in counts(results).items()
    )
