"""For CI (Jenkins, GitLab, GitHub's actions): JUnit's XML, a suite for each host.

A result that could not be determined is an error. JUnit knows no warning: one is skipped, as pytest's
expected failures are, so that it is seen and fails nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from bramble.checks import Result
from bramble.reporting.results import Checked, counts

_PARTS = {"fail": "failure", "unknown": "error", "warn": "skipped", "skip": "skipped"}


def text(checked: Checked) -> str:
    """Return the results as an XML document."""
    root = Element(
        "testsuites", {"name": f"bramble {checked.command}", **_numbers(checked.results)}
    )
    for host, results in checked.hosts.items():
        # The schema has a time without a zone.
        about = {"name": host, "hostname": host, "timestamp": checked.at.removesuffix("Z")}
        numbers = _numbers(results) | {"skipped": str(_skipped(results))}
        suite = SubElement(root, "testsuite", about | numbers)
        for result in results:
            _case(suite, result)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _numbers(results: Sequence[Result]) -> dict[str, str]:
    found = counts(results)
    numbers = {"tests": len(results), "failures": found["fail"], "errors": found["unknown"]}
    return {name: str(number) for name, number in numbers.items()}


def _skipped(results: Sequence[Result]) -> int:
    return sum(_PARTS.get(result.status) == "skipped" for result in results)


def _case(suite: Element, result: Result) -> None:
    case = SubElement(
        suite, "testcase", classname=f"{result.host}.{result.role}", name=result.check
    )
    if (name := _PARTS.get(result.status)) is None:
        return
    part = SubElement(case, name, type=result.status, message=result.got)
    if result.status != "skip":
        part.text = f"wanted: {result.want}\ngot: {result.got}\nto do: {result.remedy}"
