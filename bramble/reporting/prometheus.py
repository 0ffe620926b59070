"""For node_exporter's textfile collector on the computer that checks: Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bramble.checks import Result
from bramble.remote import exposition
from bramble.reporting.results import ORDER, Checked, counts

Samples = list[tuple[Mapping[str, str], float]]


def text(checked: Checked) -> str:
    """Return the metrics; their names say which command found them."""
    # A program for nodes, which says no types.
    made: str = exposition.text([*_families(f"bramble_{checked.command}", checked)])  # type: ignore[no-untyped-call]
    return made


def _families(name: str, checked: Checked) -> Iterator[tuple[str, str, str, Any]]:
    about = "When this computer last checked the hosts below."
    yield f"{name}_timestamp_seconds", "gauge", about, [({}, checked.at_s)]
    about = "How many checks of a host have this status."
    yield f"{name}_checks", "gauge", about, _counted(checked)
    about = (
        "Each check: 1 passes, 0 fails or warns; what could not be told or is skipped is left out."
    )
    yield f"{name}_check_success", "gauge", about, _judged(checked)


def _counted(checked: Checked) -> Samples:
    return [
        ({"host": host, "status": status}, number)
        for host, results in checked.hosts.items()
        for status, number in counts(results).items()
    ]


def _judged(checked: Checked) -> Samples:
    """Return a sample for each check, once: of a name that is there twice the worst counts."""
    found = dict[tuple[str, str, str], Result]()
    for result in sorted(checked.results, key=lambda each: ORDER.index(each.status)):
        found.setdefault((result.host, result.role, result.check), result)
    return [
        ({"host": host, "role": role, "check": check}, result.status == "pass")
        for (host, role, check), result in found.items()
        if result.status in ("pass", "fail", "warn")
    ]
