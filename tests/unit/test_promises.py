"""The README's promises lead to what proves them."""

import re
from pathlib import Path

import pytest

from docs.pages.faults import proofs
from tests.faults.rows import PROMISES, ROWS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## What it promises\n")[2].partition("\n## ")[0]
ITEMS = dict(re.findall(r"^(\d)\. (.*?)(?=^\d\. |\Z)", SECTION, re.MULTILINE | re.DOTALL))
PROVED = proofs()


def test_the_readme_promises_what_the_matrix_is_about():
    said = {int(number): plain(text) for number, text in ITEMS.items()}
    assert said == PROMISES


def plain(text):
    """A sentence without its links and breaks of lines."""
    return " ".join(re.sub(r"\[(.*?)\]\(.*?\)", r"\1", text, flags=re.DOTALL).split())


@pytest.mark.parametrize("number", PROMISES)
def test_each_promise_links_to_its_part_of_the_page(number):
    (target,) = re.findall(r"\]\((.*?)\)", ITEMS[str(number)])
    page, _, anchor = target.partition("#")
    assert anchor == f"promise-{number}"
    assert f"\n## Promise {number}\n" in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("number", PROMISES)
def test_each_promise_has_tests(number):
    rows = [row.id for row in ROWS if row.promise == number]
    assert PROVED.get(number) or any(PROVED.get(row) for row in rows)


def test_what_is_marked_is_a_row_or_a_promise():
    assert PROVED.keys() <= {row.id for row in ROWS} | PROMISES.keys()
