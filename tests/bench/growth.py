"""What a host more costs the deploying computer: `bramble verify` on ever more simulated nodes."""

import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import meter
from clones import BRAMBLE, BenchError, say
from meter import ROOT, weighed
from simulated import names
from tools import RUN_S

from bramble import project

MOST_CPU_MS, MOST_MIB, MOST_BEND = 60, 2.0, 1.5
HEADINGS = ("hosts", "wall", "CPU", "memory", "CPU a host more", "memory a host more")


@dataclass(frozen=True)
class Point:
    """What a run on so many hosts took: medians of the rounds."""

    hosts: int
    wall_s: float
    cpu_s: float
    peak_mib: float


@contextmanager
def simulated(count: int, folder: Path) -> Iterator[None]:
    """So many nodes, which end here."""
    script = Path(__file__).with_name("simulated.py")
    with subprocess.Popen(
        [sys.executable, script, str(count), folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise BenchError("the simulated nodes did not start")
        meter.kept.add(process.pid)
        yield  # the end of its input ends it


def measured(folder: Path, counts: Sequence[int], rounds: int) -> list[Point]:
    """Verify so many hosts, ever more, each so often after a run that does not count."""
    inventory = folder / "simulated"
    with simulated(max(counts), inventory):
        return [_point(inventory, count, rounds) for count in sorted(counts)]


def _point(inventory: Path, count: int, rounds: int) -> Point:
    argv = [BRAMBLE, "verify", "--json", *names(count)]
    runs = [weighed(argv, RUN_S, **{project.VARIABLE: str(inventory)}) for _ in range(rounds + 1)][
        1:
    ]
    # The recorded node is none of this plan, so that its checks fail: all of them run.
    if bad := [one for one in runs if one.code != 1 or '"reachable"' in one.output]:
        raise BenchError(f"{count} hosts: exit code {bad[0].code}:\n{bad[0].output[-2000:]}")
    found = (statistics.median(getattr(one, name) for one in runs) for name in ("wall_s", "cpu_s"))
    point = Point(count, *found, statistics.median(one.peak_mib for one in runs))
    say(f"  {count} hosts: {point.cpu_s:.2f} s of CPU, {point.peak_mib:.0f} MiB")
    return point


def slopes(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Between each two sizes: milliseconds of CPU and MiB for a host more."""
    return [
        (
            (more.cpu_s - few.cpu_s) * 1000 / (more.hosts - few.hosts),
            (more.peak_mib - few.peak_mib) / (more.hosts - few.hosts),
        )
        for few, more in pairwise(points)
    ]


def verdict(points: Sequence[Point]) -> list[str]:
    """What is promised, and whether it holds."""
    first = points[0] if len(points) > 1 else Point(0, 0, 0, 0)
    ((cpu_ms, mib),) = slopes([first, points[-1]])
    each = [cpu for cpu, _ in slopes(points)]
    bend = each[-1] / each[0] if len(each) > 1 and each[0] > 0 else 1.0
    bars = (
        ("CPU of a host more, ms", cpu_ms, MOST_CPU_MS),
        ("memory of a host more, MiB", mib, MOST_MIB),
        ("CPU of a host more, last size beside the first", bend, MOST_BEND),
    )
    return [
        f"{words}: {got:.2f}; at most {most}: {_word(got <= most)}" for words, got, most in bars
    ]


def _word(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


def rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """The table's lines."""
    steps = [("", ""), *((f"{cpu:.0f} ms", f"{mib:.2f} MiB") for cpu, mib in slopes(points))]
    return [
        (str(p.hosts), f"{p.wall_s:.2f} s", f"{p.cpu_s:.2f} s", f"{p.peak_mib:.0f} MiB", *step)
        for p, step in zip(points, steps, strict=True)
    ]


def as_dicts(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [asdict(point) for point in points]
