"""Reads metrics in Prometheus' text format, and believes nothing that breaks its rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_VALUE = r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[Ii]nf|NaN)"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? ({_VALUE})(?: \d+)?")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_KIND = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram|summary|untyped)")
_HELP = re.compile(rf"# HELP ({_NAME}) .*")
_ESCAPES = {r"\n": "\n", r"\"": '"', r"\\": "\\"}


@dataclass(frozen=True)
class Sample:
    """One value of a metric."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse(text: str) -> tuple[Sample, ...]:
    """Return the samples; raise ValueError with the line that is none, or that repeats one."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    kinds: dict[str, str] = {}
    if text and not text.endswith("\n"):
        raise ValueError("the last line has no end")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# TYPE "):
            _remember(kinds, line, number)
        elif line and not line.startswith("#"):
            sample = _sample(line, number)
            key = (sample.name, tuple(sorted(sample.labels.items())))
            if key in found:
                raise ValueError(f"line {number} repeats {sample.name}")
            found[key] = sample
        elif line.startswith("# HELP ") and not _HELP.fullmatch(line):
            raise ValueError(f"line {number} is no help of a metric")
    return tuple(found.values())


def _remember(kinds: dict[str, str], line: str, number: int) -> None:
    kind = _KIND.fullmatch(line)
    if kind is None or kind[1] in kinds:
        raise ValueError(f"line {number} is no type of a metric, or a second one")
    kinds[kind[1]] = kind[2]


def _sample(line: str, number: int) -> Sample:
    said = _SAMPLE.fullmatch(line)
    if said is None:
        raise ValueError(f"line {number} is no sample")
    return Sample(said[1], _labels(said[2] or "", number), float(said[3]))


def _labels(text: str, number: int) -> dict[str, str]:
    found, at = dict[str, str](), 0
    while at < len(text):
        label = _LABEL.match(text, at)
        if label is None or label[1] in found:
            raise ValueError(f"line {number} has labels that cannot be read")
        found[label[1]] = re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], label[2])
        at = label.end()
    return found


def value(samples: tuple[Sample, ...], name: str, /, **labels: str) -> float | None:
    """Return the value of the one sample with this name and these labels; None where there is none."""
    return next((s.value for s in samples if s.name == name and s.labels == labels), None)
