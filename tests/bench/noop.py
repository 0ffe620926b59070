"""A run with nothing to do: bramble beside a hand-tuned Ansible playbook with the same end state.

    python tests/bench/noop.py [--nodes 1,8,20] [--rounds 3] [--node vpi-1] [--json FILE]

Clones a provisioned virtual Pi, runs both tools in turn on the clones, and prints how many times as
long Ansible takes. Neither may change anything; otherwise there are no ratios.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import meter
from clones import MOST, BenchError, Node, cloned, conclude, provisioned, say, write_inventory
from tools import PLAYBOOK, RUN_S, Ansible, Bramble, PyinfraAlone, Tool

from bramble import project

NOTES = """\
ratio: Ansible's figure divided by bramble's of the same round; the median (smallest to largest).
wall: seconds until the command ended, medians. CPU: seconds of the tool's own processes (user and
system) on this computer, for Ansible with its ssh masters, which are ended after every run: both
tools connect again each time. What the nodes compute is in no CPU figure, but they share this
computer's processors, so it is in the wall figures: real Pis compute beside each other, so do
not take the wall ratio of many nodes for theirs.
of pyinfra: what of that pyinfra alone takes, with its own connector and a deploy without an operation.
commands: remote commands that bramble made on one host in a run, counted in a run of its own."""


@dataclass(frozen=True)
class Round:
    """One run of each tool, one after the other."""

    bramble_wall_s: float
    ansible_wall_s: float
    bramble_cpu_s: float
    ansible_cpu_s: float
    pyinfra_cpu_s: float

    @property
    def wall_ratio(self) -> float:
        """How many times as long Ansible took."""
        return self.ansible_wall_s / self.bramble_wall_s

    @property
    def cpu_ratio(self) -> float:
        """How many times as much processor time Ansible took."""
        return self.ansible_cpu_s / self.bramble_cpu_s


@dataclass(frozen=True)
class Size:
    """What was measured with so many nodes."""

    nodes: int
    load_before: float
    commands: int | None
    rounds: tuple[Round, ...]

    def row(self) -> tuple[str, ...]:
        """A line of the table."""
        return (
            str(self.nodes),
            f"{self._median('bramble_wall_s'):.2f} s",
            f"{self._median('ansible_wall_s'):.2f} s",
            self._spread("wall_ratio"),
            f"{self._median('bramble_cpu_s'):.2f} s",
            f"{self._median('pyinfra_cpu_s'):.2f} s",
            f"{self._median('ansible_cpu_s'):.2f} s",
            self._spread("cpu_ratio"),
            "-" if self.commands is None else str(self.commands),
            f"{self.load_before:.1f}",
        )

    def as_dict(self) -> dict[str, Any]:
        """The same with every round, for programs."""
        medians = {name: round(self._median(name), 2) for name in ("wall_ratio", "cpu_ratio")}
        return asdict(self) | {"median": medians}

    def _values(self, name: str) -> list[float]:
        return [getattr(one, name) for one in self.rounds]

    def _median(self, name: str) -> float:
        return statistics.median(self._values(name))

    def _spread(self, name: str) -> str:
        values = self._values(name)
        return f"{self._median(name):.1f} ({min(values):.1f}-{max(values):.1f})"


HEADINGS = (
    "nodes",
    "bramble wall",
    "Ansible wall",
    "wall ratio",
    "bramble CPU",
    "of pyinfra",
    "Ansible CPU",
    "CPU ratio",
    "commands",
    "load before",
)


def measure(folder: Path, source: str, nodes: Sequence[Node], rounds: int) -> Size:
    """Warm both tools up on these nodes, then run them in turn."""
    load_before = os.getloadavg()[0]
    names = [node["name"] for node in nodes]
    ssh, place = write_inventory(folder / "inventory", source, nodes)
    bramble = Bramble(folder, place, names)
    ansible = Ansible(folder, ssh, nodes, bramble.wanted(folder / "wanted"))
    say(f"{len(nodes)} nodes: warming up")
    alone = PyinfraAlone(folder, ssh, nodes)
    for tool in (bramble, ansible, alone):
        _warm_up(tool)
    commands = bramble.remote_commands()
    measured = tuple(_round(number, bramble, ansible, alone) for number in range(1, rounds + 1))
    return Size(len(nodes), load_before, commands, measured)


def _warm_up(tool: Tool) -> None:
    """The first run after the clone may find a server that is still loading; it is not counted."""
    done = tool.run()
    if done.code:
        raise BenchError(f"{tool.name} failed while it warmed up:\n{done.output}")


def _round(number: int, bramble: Tool, ansible: Tool, alone: Tool) -> Round:
    one, other, floor = _counted(bramble), _counted(ansible), _counted(alone)
    found = Round(one.wall_s, other.wall_s, one.cpu_s, other.cpu_s, floor.cpu_s)
    say(f"  round {number}: bramble {one.wall_s:.2f} s, Ansible {other.wall_s:.2f} s")
    return found


def _counted(tool: Tool) -> meter.Run:
    done = tool.run()
    if problem := tool.problem(done):
        raise BenchError(f"{tool.name} was not without work, so there is no ratio: {problem}")
    return done


def benchmark(source: str, sizes: Sequence[int], rounds: int) -> list[Size]:
    """Every size in turn, on clones that are all up from the beginning."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder,
        provisioned(source) as node,
        cloned(node, max(sizes)) as nodes,
    ):
        meter.adopt_orphans()  # only now: a virtual Pi's supervisor is to outlive its command
        found = []
        for size in sizes:
            place = Path(folder, str(size))
            place.mkdir()
            found.append(measure(place, source, nodes[:size], rounds))
        return found


def table(found: Sequence[Size]) -> str:
    """The results with aligned columns."""
    rows = [HEADINGS, *(size.row() for size in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def versions() -> dict[str, str]:
    """Which tools were compared."""
    ansible = meter.run([PLAYBOOK, "--version"], RUN_S, LC_ALL="C.UTF-8").output.splitlines()[0]
    return {"pyinfra": version("pyinfra"), "ansible": ansible, "python": sys.version.split()[0]}


def main(arguments: argparse.Namespace) -> None:
    """Measure, print, and write the JSON file that was asked for."""
    if not PLAYBOOK.exists():
        raise BenchError("Ansible is missing; `make bench` puts it into .venv-bench")
    # Every command runs in the repository, so a folder relative to here would be another one.
    os.environ["BRAMBLE_INVENTORY"] = str(project.folder())
    tools = versions()
    found = benchmark(arguments.node, arguments.nodes, arguments.rounds)
    print(f"{tools['ansible']}; pyinfra {tools['pyinfra']}; Python {tools['python']}; ", end="")
    print(f"{arguments.rounds} rounds; {os.cpu_count()} processors\n")
    print(f"{table(found)}\n\n{NOTES}")
    if arguments.json:
        document = {"versions": tools, "sizes": [size.as_dict() for size in found]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=sizes, default=[1, 8, 20], help="default: 1,8,20")
    parser.add_argument("--rounds", type=positive, default=3, help="counted runs of each tool")
    parser.add_argument("--node", default="vpi-1", help="the virtual Pi to clone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    return parser.parse_args()


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("1 at least")
    return number


def sizes(text: str) -> list[int]:
    sizes = [positive(word) for word in text.split(",")]
    if max(sizes) > MOST:
        raise argparse.ArgumentTypeError(f"{MOST} nodes at most")
    return sizes


if __name__ == "__main__":
    conclude(lambda: main(parsed()))
