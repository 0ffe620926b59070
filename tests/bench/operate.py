"""Whether nodes are as wanted: `bramble verify` beside testinfra, a checklist and bare SSH.

    python tests/bench/operate.py [--nodes 1,8,20] [--delays 0,10,50] [--rounds 3] [--node vpi-1]
        [--growth 25,50,100,200] [--growth-only] [--json FILE]

Clones a provisioned virtual Pi, adds round-trip time to the way there, and has every way look at the
clones in turn. Then `bramble verify` looks at ever more simulated nodes. What a run with nothing to do
costs beside Ansible is in noop.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import growth
import meter
from clones import cloned, conclude, provisioned, say, write_inventory
from lookers import BARE, OURS, Looker, lookers
from noop import positive, sizes

from bramble import project
from bramble.virtual.container.network import BRIDGE

MOST_BARE, LEAST_TESTINFRA, AT = 2.0, 10.0, 20
NOTES = """\
x bare: how many times as long as parallel `ssh HOST true` of the same round; x ours: as `bramble
verify`; medians (smallest to largest). wall: seconds until the command ended, CPU: seconds of its
own processes on this computer, memory: the most that its largest process held; medians. The nodes
share this computer's processors, so what they compute is in the wall figures. same checks by
testinfra: bramble's own checks by its plugin of pytest, one look for each host by testinfra's ssh.
plain testinfra: its own modules, a test for each file, package and service that the plan wants, and
the model's hash and answer: less than bramble checks. The checklist is the same in one login,
without what files hold."""
HEADINGS = ("RTT", "nodes", "way", "wall", "CPU", "memory", "x bare", "x ours")


@dataclass(frozen=True)
class Look:
    """What one way took in one round."""

    wall_s: float
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True)
class Case:
    """Every way's rounds at one number of nodes and one added round-trip time."""

    delay_ms: int
    nodes: int
    load_before: float
    looks: dict[str, list[Look]]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """A line of the table for each way."""
        for way in self.looks:
            yield (
                f"+{self.delay_ms} ms",
                str(self.nodes),
                way,
                f"{self.median(way, 'wall_s'):.2f} s",
                f"{self.median(way, 'cpu_s'):.2f} s",
                f"{self.median(way, 'peak_mib'):.0f} MiB",
                _spread(self.ratios(way, BARE)),
                _spread(self.ratios(way, OURS)),
            )

    def median(self, way: str, name: str) -> float:
        """The median of a figure."""
        return statistics.median(getattr(look, name) for look in self.looks[way])

    def ratios(self, way: str, to: str) -> list[float]:
        """How many times as long as another way it took, round by round."""
        pairs = zip(self.looks[way], self.looks[to], strict=True)
        return [one.wall_s / other.wall_s for one, other in pairs]

    def verdict(self) -> Iterator[str]:
        """What is promised at this number of nodes, and whether it holds."""
        said = f"{self.nodes} nodes, +{self.delay_ms} ms"
        bare = statistics.median(self.ratios(OURS, BARE))
        yield f"{said}: x bare {bare:.2f}; at most {MOST_BARE}: {_word(bare <= MOST_BARE)}"
        for way in (way for way in self.looks if "testinfra" in way or "the same" in way):
            got = statistics.median(self.ratios(way, OURS))
            holds = _word(got >= LEAST_TESTINFRA)
            yield f"{said}: {way}, x ours {got:.1f}; at least {LEAST_TESTINFRA}: {holds}"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _word(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


@contextmanager
def delayed(delay_ms: int) -> Iterator[None]:
    """So much more time for each round trip: what this computer sends leaves later by the bridge."""
    if not delay_ms:
        yield
        return
    netem = ["root", "netem", "delay", f"{delay_ms}ms", "limit", "100000"]
    try:
        subprocess.run(["tc", "qdisc", "replace", "dev", BRIDGE, *netem], check=True)
        yield
    finally:
        subprocess.run(["tc", "qdisc", "delete", "dev", BRIDGE, "root"], check=False)


def measure(several: Sequence[Looker], delay_ms: int, nodes: int, rounds: int) -> Case:
    """Have every way look once for nothing, then all in turn so often."""
    load_before = os.getloadavg()[0]
    with delayed(delay_ms):
        say(f"{nodes} nodes, +{delay_ms} ms: warming up")
        for one in several:
            one.look()
        looks: dict[str, list[Look]] = {one.name: [] for one in several}
        for number in range(1, rounds + 1):
            for one in several:
                done = one.look()
                looks[one.name].append(Look(done.wall_s, done.cpu_s, done.peak_mib))
            said = ", ".join(f"{name} {found[-1].wall_s:.2f} s" for name, found in looks.items())
            say(f"  round {number}: {said}")
    return Case(delay_ms, nodes, load_before, looks)


def benchmark(arguments: argparse.Namespace) -> list[Case]:
    """Every number of nodes with every delay, on clones that are all up from the beginning."""
    source = arguments.node
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder,
        provisioned(source) as node,
        cloned(node, max(arguments.nodes)) as nodes,
    ):
        meter.adopt_orphans()  # only now: a virtual Pi's supervisor is to outlive its command
        found = []
        for size in arguments.nodes:
            place = Path(folder, str(size))
            place.mkdir()
            _, inventory = write_inventory(place / "inventory", source, nodes[:size])
            several = lookers(place, inventory, [one["name"] for one in nodes[:size]])
            found += [measure(several, delay, size, arguments.rounds) for delay in arguments.delays]
        return found


def grown(arguments: argparse.Namespace) -> list[growth.Point]:
    """The simulated part."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        return growth.measured(Path(folder), arguments.growth, arguments.rounds)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def main(arguments: argparse.Namespace) -> None:
    """Measure, print, and write the JSON file that was asked for."""
    os.environ[project.VARIABLE] = str(project.folder())
    cases = [] if arguments.growth_only else benchmark(arguments)
    points = grown(arguments)
    print(
        f"{arguments.rounds} rounds; {os.cpu_count()} processors; Python {sys.version.split()[0]}\n"
    )
    if cases:
        print(f"{table([HEADINGS, *(row for case in cases for row in case.rows())])}\n\n{NOTES}\n")
        largest = [case for case in cases if case.nodes == AT]
        print("\n".join(line for case in largest for line in case.verdict()), end="\n\n")
    print(
        f"bramble verify on simulated nodes\n\n{table([growth.HEADINGS, *growth.rows(points)])}\n"
    )
    print("\n".join(growth.verdict(points)))
    if arguments.json:
        document = {
            "cases": [asdict(case) for case in cases],
            "growth": growth.as_dicts(points),
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=sizes, default=[1, 8, 20], help="default: 1,8,20")
    parser.add_argument(
        "--delays", type=_numbers, default=[0, 10, 50], help="ms of round trip; default: 0,10,50"
    )
    parser.add_argument("--rounds", type=positive, default=3, help="counted looks of each way")
    parser.add_argument("--node", default="vpi-1", help="the virtual Pi to clone")
    parser.add_argument(
        "--growth", type=_numbers, default=[25, 50, 100, 200], help="default: 25,50,100,200"
    )
    parser.add_argument("--growth-only", action="store_true", help="simulated nodes alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    conclude(lambda: main(parsed()))
