"""For programs that read TAP, version 14: a test point for each check.

One that could not be determined is `not ok`. A warning is `not ok` with TODO, which fails nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bramble.checks import Result
from bramble.reporting.results import WELL, Checked, one_line


def text(checked: Checked) -> str:
    """Return the results as TAP."""
    ordered = [result for results in checked.hosts.values() for result in results]
    lines = ["TAP version 14", f"1..{len(ordered)}"]
    for number, result in enumerate(ordered, 1):
        lines += _point(number, result)
    return "".join(f"{line}\n" for line in lines)


def _point(number: int, result: Result) -> Iterator[str]:
    """Yield a test point, and below it what is wrong as YAML."""
    ok = "ok" if result.status in WELL else "not ok"
    about = {"skip": f" # SKIP {_escaped(result.got)}", "warn": " # TODO a warning"}
    name = _escaped(f"{result.host}: {result.role}.{result.check}")
    yield f"{ok} {number} - {name}{about.get(result.status, '')}"
    if ok == "ok":
        return
    yield "  ---"
    for key in ("status", "want", "got", "remedy"):
        # Text as JSON is YAML, whatever it holds.
        yield f"  {key}: {json.dumps(getattr(result, key), ensure_ascii=False)}"
    yield "  ..."


def _escaped(words: str) -> str:
    return one_line(words).replace("\\", "\\\\").replace("#", "\\#")
