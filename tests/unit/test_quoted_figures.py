"""Benchmarks end with what the pages quote of them: a figure that fell is named."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "bench"))
import quoted  # noqa: E402

PAGES = {
    name: (ROOT / "docs" / "explanation" / name).read_text()
    for name in ("benchmarks.md", "variants.md")
}


@pytest.mark.parametrize(
    ("page", "key", "name"),
    [
        ("benchmarks.md", ("20",), "wall ratio"),
        ("benchmarks.md", ("1000 Mbit/s",), "share of curl's rate"),
        ("benchmarks.md", ("bramble, until the last has it",), "x floor"),
        ("benchmarks.md", ("Q4_K", "answer", "cortex-a76"), "share"),
        ("variants.md", ("Q8_0", "prompt", "ours", "debian"), "ratio"),
    ],
)
def test_a_figure_of_each_benchmark_is_found_in_its_page(page, key, name):
    assert (key, name) in quoted.figures(PAGES[page])


@pytest.mark.parametrize("page", PAGES)
def test_the_page_itself_is_no_fall(page):
    lines, fell = quoted.compare(PAGES[page], PAGES[page])
    assert lines
    assert fell == 0


@pytest.mark.parametrize(
    ("row", "new"),
    [
        ("14.1 (11.8-15.3)", "6.8 (5.6-6.9)   "),
        ("     53.0 s      1.24", "     63.0 s      1.47"),
        ("0.89 (0.84-0.93)", "0.79 (0.70-0.83)"),
    ],
)
def test_a_figure_that_fell_is_named(row, new, tmp_path, capsys):
    page = PAGES["benchmarks.md"]
    found = quoted.figures(page)
    assert found
    measured = re.sub(re.escape(row), new, page)
    assert measured != page
    (tmp_path / "new.txt").write_text(measured)
    (tmp_path / "page.md").write_text(page)
    assert quoted.main([f"{tmp_path}/new.txt={tmp_path}/page.md"]) == 1
    assert capsys.readouterr().out.count("FELL") == 1


def test_output_of_which_nothing_is_quoted_is_no_success(tmp_path):
    (tmp_path / "new.txt").write_text("nothing\n")
    assert quoted.main([f"{tmp_path}/new.txt={ROOT}/docs/explanation/benchmarks.md"]) == 1
