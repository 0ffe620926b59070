"""The page of a fleet as Chromium shows it: on a telephone and a desk, light and dark.

Asked of the page itself by a script that is put into a copy of it. `BRAMBLE_AXE` names an axe.min.js
of axe-core, whose rules it is held to as well.
"""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bramble.reporting import formats
from tests.unit.reporting.runs import CHECKED

pytestmark = pytest.mark.thorough

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
AXE = os.environ.get("BRAMBLE_AXE")
POLICY = re.compile(r"<meta http-equiv[^>]*>\n")
SCHEMES = {"dark": 0, "light": 1}
PAPER = {"dark": "rgb(20, 23, 26)", "light": "rgb(255, 255, 255)"}

# Contrast by WCAG 2: of each text with what is painted behind it.
ASK = """
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = colour => parts(colour).slice(0, 3).map(c => c / 255)
  .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
const behind = element => {
  for (; element; element = element.parentElement) {
    const painted = getComputedStyle(element).backgroundColor;
    if (parts(painted)[3] !== 0) return painted;
  }
  return 'rgb(255, 255, 255)';
};
const contrast = element => {
  const style = getComputedStyle(element);
  const colour = element.closest('svg') ? style.fill : style.color;
  const [low, high] = [light(colour), light(behind(element))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const texts = [...document.body.querySelectorAll('*')].filter(element =>
  !element.closest('script, title, desc')
  && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
for (const each of document.querySelectorAll('details')) each.open = true;
const said = {
  dark: matchMedia('(prefers-color-scheme: dark)').matches,
  paper: getComputedStyle(document.body).backgroundColor,
  width: innerWidth,
  needed: document.scrollingElement.scrollWidth,
  title: document.title,
  foreign: document.querySelectorAll('img, iframe, link, object, [onerror], [onload], [src]').length,
  asked: performance.getEntriesByType('resource').map(entry => entry.name),
  charts: [...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().height),
  texts: texts.length,
  faint: texts.filter(element => contrast(element) < 4.5).map(element => element.outerHTML),
  small: texts.filter(element => parseFloat(getComputedStyle(element).fontSize) < 11)
    .map(element => element.outerHTML),
  problems: document.querySelectorAll('.problem').length,
};
const tell = () => {
  const place = document.createElement('pre');
  place.id = 'said';
  place.textContent = JSON.stringify(said);
  document.body.append(place);
};
if (window.axe) axe.run().then(found => {
  said.rules = found.passes.length;
  said.violations = found.violations.map(rule => [rule.id, rule.nodes.map(node => node.html)]);
  tell();
}); else tell();
"""


def shown(folder, page, width, scheme):
    """The document of a page as the browser has it in the end."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    words = [
        BROWSER,
        *(
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            "--virtual-time-budget=30000",
        ),
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--window-size={width},800",
        (folder / "page.html").as_uri(),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180, check=True)
    return done.stdout


@pytest.fixture(
    scope="module",
    params=[(width, scheme) for width in (360, 1280) for scheme in SCHEMES],
    ids=lambda pair: f"{pair[0]}-{pair[1]}",
)
def said(request, tmp_path_factory):
    """What the page answers about itself, and the width and scheme that it was shown in."""
    if BROWSER is None:
        pytest.skip(f"there is no Chromium: none of {', '.join(NAMES)}")
    page, width_and_scheme = formats.written("html", CHECKED), request.param
    axe = Path(AXE).read_text(encoding="utf-8") if AXE else ""
    page = POLICY.sub("", page).replace("</body>", f"<script>{axe}</script><script>{ASK}</script>")
    made = shown(tmp_path_factory.mktemp("browser"), page, *width_and_scheme)
    (found,) = re.findall(r'<pre id="said">(.*?)</pre>', made, re.S)
    return json.loads(html.unescape(found)), *width_and_scheme


def test_the_page_fits_a_telephone_and_a_desk(said):
    found, width, _ = said
    assert found["width"] == width
    assert found["needed"] <= width
    assert found["small"] == []


def test_the_page_has_the_papers_colour_of_the_readers_scheme(said):
    found, _, scheme = said
    assert (found["dark"], found["paper"]) == (scheme == "dark", PAPER[scheme])


def test_every_text_can_be_told_from_what_is_behind_it(said):
    found, _, _ = said
    assert found["texts"] > 100
    assert found["faint"] == []


def test_charts_and_problems_are_there_to_see(said):
    found, _, _ = said
    assert (len(found["charts"]), found["problems"]) == (5, 4)
    assert min(found["charts"]) > 80


def test_nothing_that_a_node_said_runs_and_nothing_is_fetched(said):
    found, _, _ = said
    assert found["title"] == "bramble verify: 1 of 3 hosts well"
    assert (found["foreign"], found["asked"]) == (0, [])


@pytest.mark.skipif(AXE is None, reason="BRAMBLE_AXE names no axe.min.js of axe-core")
def test_axe_finds_nothing_that_keeps_people_out(said):
    found, _, _ = said
    assert found["rules"] > 20
    assert found["violations"] == []


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_the_page_lets_no_script_run_though_one_got_into_it(tmp_path):
    page = formats.written("html", CHECKED)
    spoilt = page.replace("</body>", "<script>document.title = 'taken'</script>")
    assert "<title>bramble verify" in shown(tmp_path, spoilt, 360, "light")
    taken = shown(tmp_path, POLICY.sub("", spoilt), 360, "light")
    assert "<title>taken</title>" in taken
