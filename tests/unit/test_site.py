"""The site builds without a warning, and what rots in pages is one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(source, out, builder):
    """Build a site as `make docs` does; return what sphinx-build said."""
    words = ["-q", "-E", "-W", "--keep-going", "-b", builder, "-c", str(ROOT / "docs")]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(source), str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_site_builds_without_a_warning(tmp_path):
    done = build(ROOT, tmp_path / "site", "html")
    assert (done.returncode, done.stderr) == (0, "")
    assert "docs/index.html" in (tmp_path / "site/index.html").read_text(encoding="utf-8")
    page = (tmp_path / "site/docs/reference/commands.html").read_text(encoding="utf-8")
    assert 'href="../../README.html#exit-codes"' in page


@pytest.mark.parametrize(
    ("page", "text", "said"),
    [
        ("page.md", "[gone](gone.md)", "gone"),
        ("page.md", "[no such heading](index.md#none)", "none"),
        ("orphan.md", "In no toctree.", "isn't included in any toctree"),
    ],
)
def test_a_page_that_rots_fails_the_build(tmp_path, page, text, said):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Site\n\n```{toctree}\npage\n```\n")
    (docs / "page.md").write_text("# A page\n\n[The site](index.md#site).\n")
    assert build(tmp_path, tmp_path / "sound", "dummy").stderr == ""
    (docs / page).write_text(f"# A page\n\n{text}\n")
    done = build(tmp_path, tmp_path / "spoilt", "dummy")
    assert done.returncode == 1
    assert said in done.stderr
