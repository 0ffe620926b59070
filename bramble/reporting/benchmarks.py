"""The speeds of a host's kept benchmarks (`bramble bench`), for its chart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from bramble.bench import result
from bramble.reporting.history import RUNS, Benchmarks
from bramble.sanitize import sanitize


def kept(inventory: Path, hosts: Iterable[str]) -> tuple[dict[str, Benchmarks], tuple[str, ...]]:
    """Return each host's last benchmarks, and the names of files that cannot be read."""
    found, unreadable = dict[str, Benchmarks](), list[str]()
    for host in hosts:
        several = list[tuple[str, float, float]]()
        for file in sorted((inventory / result.FOLDER / host).glob("[0-9]*.json"))[-RUNS:]:
            try:
                one = result.read(file)
                at_s = datetime.fromisoformat(one.at).timestamp()
            except (OSError, ValueError):
                unreadable.append(sanitize(f"{host}/{file.name}"))
                continue
            if (median := one.median("answer_tps")) is not None:
                several.append((one.model.name, at_s, median))
        if several:
            found[host] = _of_last_model(several)
    return found, tuple(unreadable)


def _of_last_model(several: list[tuple[str, float, float]]) -> Benchmarks:
    """Keep those of the newest one's model: another has another scale."""
    model = several[-1][0]
    return Benchmarks(model, tuple((at_s, speed) for name, at_s, speed in several if name == model))
