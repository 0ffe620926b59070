"""What benchmarks printed beside what the pages quote of them, and which figures fell.

    python tests/bench/quoted.py OUTPUT=PAGE...

Both are read as tables: a row is known by its words, a figure by its heading. A figure fell when it is
worse than the worst that is quoted of its row, or than a tenth less where the page quotes one alone.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The figures that compare, by their headings: whether more of it is better.
COMPARED = {
    "wall ratio": True,
    "CPU ratio": True,
    "share of curl's rate": True,
    "ratio": True,
    "x floor": False,
    "share": False,
}
TOLERANCE = 0.1
FIGURE = re.compile(r"([\d.]+)(?: \(([\d.]+)-([\d.]+)\))?$")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A figure of a table, with the smallest and the largest where they are given."""

    median: float
    smallest: float | None = None
    largest: float | None = None

    def __str__(self) -> str:
        spread = f" ({self.smallest}-{self.largest})" if self.smallest is not None else ""
        return f"{self.median}{spread}"

    def worst(self, *, more_is_better: bool) -> float:
        """What a new figure may be without having fallen."""
        if more_is_better:
            return self.median * (1 - TOLERANCE) if self.smallest is None else self.smallest
        return self.median * (1 + TOLERANCE) if self.largest is None else self.largest


def figures(text: str) -> dict[tuple[Key, str], Figure]:
    """Every figure that compares, by its row's words and its heading."""
    found: dict[tuple[Key, str], Figure] = {}
    headings: list[re.Match[str]] = []
    for line in text.splitlines():
        cells = list(re.finditer(r"\S+(?: \S+)*", line))
        names = {cell[0] for cell in cells}
        if names & COMPARED.keys():
            headings = cells
        elif not cells:
            headings = []
        elif headings:
            row = {_heading(cell, headings): cell[0] for cell in cells}
            key = tuple(word for name, word in row.items() if _is_key(name, word))
            for name, figure in _compared(row):
                found[key, name] = figure
    return found


def _heading(cell: re.Match[str], headings: list[re.Match[str]]) -> str:
    """The heading that a cell stands under; "" for the words that begin a row without one."""
    under = (h for h in headings if h.start() < cell.end() and cell.start() < h.end())
    return next((heading[0] for heading in under), "")


def _is_key(name: str, word: str) -> bool:
    """Whether a cell says which row this is: words (but no verdict), how many nodes, a link's rate."""
    is_words = not re.match(r"[\d.-]+( |$)", word) and name != "ours is"
    return is_words or name in ("nodes", "link")


def _compared(row: Mapping[str, str]) -> Iterator[tuple[str, Figure]]:
    for name, word in row.items():
        matched = FIGURE.fullmatch(word) if name in COMPARED else None
        if matched:
            numbers = [float(number) if number else None for number in matched.groups()]
            yield name, Figure(numbers[0] or 0.0, numbers[1], numbers[2])


def compare(measured: str, page: str) -> tuple[list[str], int]:
    """A line for each figure that the page quotes, and how many fell."""
    new, lines, fell = figures(measured), [], 0
    for (key, name), quoted in figures(page).items():
        now = new.get((key, name))
        if now is None:
            continue
        more = COMPARED[name]
        worst = quoted.worst(more_is_better=more)
        is_worse = now.median < worst if more else now.median > worst
        fell += is_worse
        lines.append(
            f"{'FELL' if is_worse else 'ok':5}{' '.join(key)}: {name} {now}, quoted {quoted}"
        )
    return lines, fell


def main(pairs: list[str]) -> int:
    """Print the comparison; 1 where a figure fell, or where nothing could be compared."""
    fell = 0
    for pair in pairs:
        output, page = pair.split("=")
        lines, worse = compare(Path(output).read_text(), Path(page).read_text())
        print(f"\n{Path(output).stem}, beside {page}:")
        print("\n".join(lines) or "nothing of it is quoted there")
        fell += worse or not lines
    return 1 if fell else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
