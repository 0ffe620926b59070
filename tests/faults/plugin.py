"""pytest's marker `fault`, and the one line that says what of the fault matrix a run has proved.

A row is proved where at least one test with it ran and all that ran passed; a skipped one is no proof.
Tests count with `record_property`: `kill_points`, the points that they kill at, proved where they pass;
and what must never be seen, each with the number that was seen: `half_written`, `bricked`, `hangs`,
`leaked_secrets`. What no test has counted is shown as "?".
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.faults import fuzz
from tests.faults.rows import BY_ID, ROWS

MARKERS = (
    "fault(row, ...): proves these rows of the fault matrix (tests/faults/rows.py)",
    "promise(number): proves a promise of README.md that no row is about",
)
NEVER = ("half_written", "bricked", "hangs", "leaked_secrets")
PROPERTY = "fault_row"


def pytest_addoption(parser):
    parser.addoption(
        "--thorough",
        action="store_true",
        help="make the proofs longer that can be made longer",
    )
    parser.addoption(
        "--every-fault",
        action="store_true",
        help="tell which rows of the fault matrix are proved, and fail where one is not",
    )


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    fuzz.TIMES = 20 if config.getoption("--thorough") else 1
    config.pluginmanager.register(Matrix(), "fault-matrix")


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item):
    """Have each report of a test say its rows: reports are all that comes from other processes."""
    for row in sorted({row for mark in item.iter_markers("fault") for row in named(item, mark)}):
        item.user_properties.append((PROPERTY, row))


def named(item, mark):
    """Return the rows that a marker names."""
    unknown = [row for row in mark.args if row not in BY_ID]
    if unknown or mark.kwargs or not mark.args:
        raise pytest.UsageError(
            f"{item.nodeid}: @pytest.mark.fault names rows of tests/faults/rows.py, not "
            f"{', '.join(map(repr, unknown)) or mark.kwargs or 'nothing'}"
        )
    return mark.args


def pytest_collection_modifyitems(config, items):
    """Leave out what only --thorough runs."""
    longer = [item for item in items if item.get_closest_marker("thorough")]
    if longer and not config.getoption("--thorough"):
        config.hook.pytest_deselected(items=longer)
        items[:] = [item for item in items if item not in longer]


@dataclass
class Outcome:
    """What came of one test, over its set-up, call and tear-down."""

    rows: set[str] = field(default_factory=set)
    counted: dict[str, int] = field(default_factory=dict)
    ran: bool = False
    failed: bool = False

    @property
    def state(self):
        return "red" if self.failed else "proved" if self.ran else "unproved"


class Matrix:
    """The outcomes of a run's tests, gathered from their reports."""

    def __init__(self):
        self.tests = {}

    def pytest_runtest_logreport(self, report):
        test = self.tests.setdefault(report.nodeid, Outcome())
        test.rows |= {value for name, value in report.user_properties if name == PROPERTY}
        test.ran |= report.when == "call" and report.passed
        test.failed |= report.failed
        counted = dict.fromkeys((name for name, _ in report.user_properties if name != PROPERTY), 0)
        for name, value in report.user_properties:
            if name in counted and name in ("kill_points", *NEVER):
                counted[name] += value
        test.counted = counted

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session):
        if session.config.getoption("--every-fault") and not self.all_is_well():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter, config):
        if config.getoption("--every-fault"):
            terminalreporter.ensure_newline()
            for line in (self.line(), *self.reported()):
                terminalreporter.write_line(line)

    def of(self, row):
        """Return the outcomes of the tests that prove this row, by test."""
        return {name: test for name, test in self.tests.items() if row.id in test.rows}

    def state(self, row):
        states = {test.state for test in self.of(row).values()}
        return "red" if "red" in states else "proved" if "proved" in states else "unproved"

    def kill_points(self):
        """Return how many points were killed at by tests that passed, and by all."""
        counts = [
            (t.state == "proved", t.counted.get("kill_points", 0)) for t in self.tests.values()
        ]
        return sum(count for passed, count in counts if passed), sum(count for _, count in counts)

    def seen(self, name):
        """Return how often it was seen; None where no test has looked for it."""
        counts = [test.counted[name] for test in self.tests.values() if name in test.counted]
        return sum(counts) if counts else None

    def all_is_well(self):
        """Return whether every row and kill point is proved, and what must never be was looked for."""
        passed, points = self.kill_points()
        return (
            all(self.state(row) == "proved" for row in ROWS)
            and passed == points > 0
            and all(self.seen(name) == 0 for name in NEVER)
        )

    def line(self):
        proved = sum(self.state(row) == "proved" for row in ROWS)
        passed, points = self.kill_points()
        never = ", ".join(
            f"{name.replace('_', '-' if name == 'half_written' else ' ')} "
            f"{'?' if self.seen(name) is None else self.seen(name)}"
            for name in NEVER
        )
        return f"faults: {proved}/{len(ROWS)}, kill points: {passed}/{points}, {never}"

    def reported(self):
        """Return a line for each row that is not proved, with the tests that it is for."""
        for row in ROWS:
            state = self.state(row)
            if state != "proved":
                tests = [name for name, test in self.of(row).items() if test.state == state]
                yield f"  {row.id} {state}: {row.fault} ({', '.join(tests) or 'no test ran'})"
        for row in ROWS:
            skipped = [name for name, test in self.of(row).items() if test.state == "unproved"]
            if skipped and self.state(row) == "proved":
                yield f"  {row.id} proved in part, skipped: {', '.join(skipped)}"
