"""The page of the fault matrix: each promise, the ways to fail that it is about, and their proofs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.faults.rows import PROMISES, ROWS, Row

TESTS = Path(__file__).parents[2] / "tests"
MARKERS = ("fault", "promise")
INTRODUCTION = """\
# The fault matrix

What bramble promises, and the thirty ways to fail that it is held to. Each test injects the fault for
real: links that go down, full file systems, killed processes, power that is cut. `make faults` runs them
all and ends with one line:

```text
faults: N/30, kill points: N/N, half-written 0, bricked 0, hangs 0, leaked secrets 0
```

A row counts where at least one of its tests ran and all that ran passed. What is red or was skipped is
named below that line, and `make faults` fails then. Kill points are the remote commands of a first
provisioning and of an upgrade, each killed at before and after it. `make test` runs the quicker ones of
these tests too.

What stands in for a Pi, and what that cannot show: [what virtual Pis prove](virtual.md).
"""


def proofs() -> dict[str | int, list[tuple[str, str]]]:
    """Return the tests of each row, and of each promise that has tests of its own: file and name."""
    found: dict[str | int, list[tuple[str, str]]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if any(f"pytest.mark.{marker}(" in text for marker in MARKERS):
            for proved, name in marked(ast.parse(text)):
                found.setdefault(proved, []).append((str(path.relative_to(TESTS.parent)), name))
    return found


def marked(module: ast.Module) -> Iterator[tuple[str | int, str]]:
    """Yield what each test of a module proves: by its own markers, and by those of the module."""
    tests = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    tests = [test for test in tests if test.name.startswith("test_")]
    whole = [node for node in module.body if isinstance(node, ast.Assign) and of_module(node)]
    for test in tests:
        nodes = [*whole, *test.decorator_list]
        for proved in dict.fromkeys(value for node in nodes for value in arguments(node)):
            yield proved, test.name


def of_module(node: ast.Assign) -> bool:
    """Return whether an assignment is pytest's markers of a whole module."""
    return any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )


def arguments(node: ast.AST) -> Iterator[str | int]:
    """Yield the arguments of our markers anywhere in an expression."""
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in MARKERS
        ):
            for argument in call.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, (str, int)):
                    yield argument.value


def faults_page() -> str:
    """Return the page."""
    found = proofs()
    return INTRODUCTION + "".join(section(number, found) for number in PROMISES)


def section(number: int, found: dict[str | int, list[tuple[str, str]]]) -> str:
    """Return a promise with its rows, and with its own tests."""
    parts = [f"\n## Promise {number}\n\n{PROMISES[number]}\n"]
    if rows := [row for row in ROWS if row.promise == number]:
        parts.append("\n| | Fault | Expected | Proved by |\n|---|---|---|---|\n")
        parts += [line(row, found.get(row.id, [])) for row in rows]
    if own := found.get(number):
        parts.append(f"\nProved by {sentences(own)}.\n")
    return "".join(parts)


def line(row: Row, tests: list[tuple[str, str]]) -> str:
    """Return a row of the matrix."""
    return f"| {row.id} | {row.fault} | {row.expected} | {sentences(tests)} |\n"


def sentences(tests: list[tuple[str, str]]) -> str:
    """Return tests as what their names say, with their files."""
    by_file: dict[str, list[str]] = {}
    for file, name in tests:
        by_file.setdefault(file, []).append(name.removeprefix("test_").replace("_", " "))
    return "; ".join(f"{', '.join(names)} (`{file}`)" for file, names in by_file.items())
