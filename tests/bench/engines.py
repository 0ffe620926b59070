"""Our build of llama.cpp beside Debian's own package and beside a build for any x86-64.

    python tests/bench/engines.py [--rounds 5] [--types Q4_0,Q4_K,Q8_0] [--threads 1] [--json FILE]

Runs the llama-bench of each in turn, in an order that turns around with each round, on models of
random weights, and prints how many times as fast ours is: the median with the smallest and largest.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
import weights
from clones import conclude, say

PROMPT, ANSWER = 512, 128
NOTES = f"""\
ratio: our tokens per second divided by the other's of the same round; the median (smallest to
largest). prompt: {PROMPT} tokens at once, answer: {ANSWER} tokens one after the other; an eighth of
both for the generic build, which is slow."""

Round = dict[str, dict[str, float]]
"""By peer: tokens per second of the prompt and of the answer."""


@dataclass(frozen=True)
class Row:
    """One quantized type and one part of a turn: our speed, and how that is to another's."""

    kind: str
    part: str
    mine: str
    other: str
    speed: float
    ratios: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Faster or slower where every round says so."""
        if min(self.ratios) > 1:
            return "faster in every round"
        return (
            "SLOWER in every round" if max(self.ratios) < 1 else "no difference beyond the spread"
        )

    def cells(self) -> tuple[str, ...]:
        """A line of the table."""
        median, low, high = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        ratio = f"{median:.2f} ({low:.2f}-{high:.2f})"
        speed = f"{self.speed:.1f} t/s"
        return (self.kind, self.part, self.mine, speed, self.other, ratio, self.verdict)


HEADINGS = ("type", "part", "build", "speed", "against", "ratio", "ours is")


def rounds_of(several: Sequence[peers.Peer], model: Path, rounds: int, threads: int) -> list[Round]:
    """So many runs of each, one after the other, after one of each that does not count."""
    for peer in several:
        peer.bench(model, threads, PROMPT, ANSWER)
    found = []
    for number in range(rounds):
        order = several[::-1] if number % 2 else several
        found.append({peer.name: peer.bench(model, threads, PROMPT, ANSWER) for peer in order})
        say(f"  {model.stem}, round {number + 1}: " + _line(found[-1]))
    return found


def _line(one: Round) -> str:
    return "; ".join(
        f"{name} {speeds['prompt']:.1f}, {speeds['answer']:.1f}" for name, speeds in one.items()
    )


def rows_of(kind: str, found: Sequence[Round]) -> list[Row]:
    """Ours against each other one, like with like."""
    pairs = [pair for pair in peers.PAIRS if pair[0] in found[0] and pair[1] in found[0]]
    return [
        Row(
            kind,
            part,
            mine,
            other,
            statistics.median(one[mine][part] for one in found),
            tuple(one[mine][part] / one[other][part] for one in found),
        )
        for part in ("prompt", "answer")
        for mine, other in pairs
    ]


def table(rows: Sequence[Row]) -> str:
    """The results with aligned columns."""
    cells = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def benchmark(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Have the peers, then measure each type."""
    several = [*peers.ours(folder), *peers.debian(folder, arguments.suite)]
    load = os.getloadavg()[0]
    measured = {}
    for kind in arguments.types:
        model = weights.write(folder / f"{kind}.gguf", kind)
        measured[kind] = rounds_of(several, model, arguments.rounds, arguments.threads)
    return {
        "peers": {peer.name: peer.about for peer in several},
        "load_before": load,
        "rounds": measured,
    }


def main(arguments: argparse.Namespace) -> None:
    """Measure, print, and write the JSON file that was asked for."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        found = benchmark(Path(folder), arguments)
    for name, about in found["peers"].items():
        print(f"{name}: {about}")
    print(
        f"{arguments.rounds} rounds; {arguments.threads} threads; {os.cpu_count()} processors; ",
        end="",
    )
    print(f"load before {found['load_before']:.1f}\n")
    rows = [row for kind, several in found["rounds"].items() for row in rows_of(kind, several)]
    print(f"{table(rows)}\n\n{NOTES}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each")
    parser.add_argument("--threads", type=int, default=1, help="as free processors, or fewer")
    parser.add_argument(
        "--types",
        type=lambda text: text.split(","),
        default=list(weights.BLOCKS),
        help=f"of {','.join(weights.BLOCKS)}",
    )
    parser.add_argument("--suite", default="sid", help="Debian suite that has llama.cpp")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    return parser.parse_args()


if __name__ == "__main__":
    conclude(lambda: main(parsed()))
