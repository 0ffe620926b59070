"""docs/explanation/memory.md has the tables that its command makes."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def program():
    """docs/memory_tables.py, which is no package's module."""
    spec = importlib.util.spec_from_file_location(
        "memory_tables", ROOT / "docs" / "memory_tables.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["memory_tables"] = module
    spec.loader.exec_module(module)
    return module


MADE = program()


def test_every_table_is_what_the_planner_says():
    page = MADE.PAGE.read_text(encoding="utf-8")
    assert MADE.with_tables(page) == page, "stale: run `make docs`"


def test_every_board_has_its_example():
    for board in MADE.BOARDS:
        assert f"| {board} |" in MADE.tables()["boards"]


def test_the_example_by_hand_is_what_the_planner_says():
    reported = MADE.answer(MADE.model("Qwen2.5-3B", "Q4_K_M"), "pi4-4g", 4096)
    page = MADE.PAGE.read_text(encoding="utf-8")
    assert f"{reported.total_mib} of {reported.available_mib} MiB: **{reported.verdict}**" in page
    assert f"weights: {reported.weights_mib} MiB" in page
    assert f"= {reported.kv_mib} MiB" in page
    assert f"beside them: {reported.compute_mib} MiB" in page


@pytest.mark.parametrize(
    ("theirs", "ours", "word"),
    [(1.0, 1.05, "agree"), (0.4, 0.12, "bramble: 3.3 times"), (0.1, 0.06, "agree")],
)
def test_who_is_right_goes_by_the_difference(theirs, ours, word):
    assert MADE._who(theirs, ours).startswith(word)
