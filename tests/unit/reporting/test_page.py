"""The page of a fleet: what it says, and that nothing in it is taken for more than text."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import bramble.reporting
from bramble.figures import Figures
from bramble.reporting import charts, formats
from bramble.reporting.history import History
from bramble.reporting.results import Checked
from tests.unit.reporting.runs import AT_S, CHECKED, HISTORY, NOTHING, RESULTS, WELL, looks, one

STYLE = Path(bramble.reporting.__file__).with_name("page.css").read_text(encoding="utf-8")
VOID = {"meta", "br", "line", "circle", "polyline"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "div"),
    *("h1", "h2", "h3", "p", "a", "strong", "span", "dl", "dt", "dd", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"),
    *("svg", "desc", "line", "text", "polyline", "circle"),
}


class Page(HTMLParser):
    """Elements with their attributes and the text in each, in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, texts in self._open:
            texts.append(data)

    def texts(self, tag, **wanted):
        return [
            " ".join(" ".join(texts).split())
            for name, attributes, texts in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]


def page(checked=CHECKED):
    return Page(formats.written("html", checked))


@pytest.mark.parametrize("checked", [CHECKED, NOTHING, WELL], ids=["all", "nothing", "well"])
def test_the_page_has_only_elements_that_do_nothing_and_asks_for_nothing(checked):
    made = page(checked)
    assert {tag for tag, _, _ in made.elements} <= ELEMENTS
    for _, attributes, _ in made.elements:
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    policy = [each["content"] for each in made.all("meta") if "http-equiv" in each]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_what_a_hostile_node_says_is_text():
    (found,) = [text for text in page().texts("dd") if "onerror" in text]
    assert found.startswith("</td><script>document.title='taken'</script><img src=x onerror=")
    assert "{{ 7 * 7 }}" in found


def test_the_head_and_the_fleet_tell_who_is_well():
    made = page()
    assert made.texts("h1") == made.texts("title")[:1] == ["bramble verify: 1 of 3 hosts well"]
    rows = made.texts("tr")
    assert rows[0] == "Host State Since Checks What is wrong"
    assert "2026-11-28 00:00 UTC" in rows[1]
    assert "fail" in rows[1]
    assert "serving.model_answers: </td>" in rows[1]
    assert "not known" in rows[2]
    assert "2026-11-24 00:00 UTC" in rows[3]
    assert rows[3].endswith("2 pass, 1 skip nothing")


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("ffp", ""),
        ("pf", "2026-11-30 00:00 UTC"),
        ("fpff", "2026-11-29 00:00 UTC"),
        ("ff", "2026-11-29 00:00 UTC or before"),
        ("", ""),
    ],
)
def test_a_state_lasts_since_the_first_of_the_last_runs_that_found_it(kept, said):
    words = {"f": "fail", "p": "pass"}
    found = looks(lambda n: {"base.x": words[kept[n]]}, lambda n: Figures(), len(kept))
    several = (one("a", "base", "x", "fail"),)
    made = page(Checked("verify", AT_S, several, History({"a": found})))
    assert f"✗ fail {said or 'not known'} 1 fail" in made.texts("tr")[1]


def test_every_host_has_a_part_with_what_is_wrong_and_what_to_do():
    made = page()
    assert made.texts("h2") == ["Fleet", "pi4-b", "cm5-c", "pi5-a"]
    assert [text for text in made.texts("h3") if text.startswith(("✗", "?", "!"))] == [
        "✗ fail serving.model_answers",
        "? unknown power.voltage_is_enough",
        "! warn power.temperature_is_moderate",
        "✗ fail ssh.reachable",
    ]
    assert {"Deploy again.", "Cool it.", "The log."} <= {*made.texts("dd")}


def test_every_link_leads_to_a_place_on_the_page():
    made = page()
    ids = [attributes["id"] for _, attributes, _ in made.elements if "id" in attributes]
    assert len(ids) == len({*ids})
    links = {attributes["href"][1:] for attributes in made.all("a")}
    named = {
        name
        for _, attributes, _ in made.elements
        for name in attributes.get("aria-labelledby", "").split()
    }
    assert len(links) == 3
    assert links | named <= {*ids}


def test_figures_are_drawn_where_reports_have_them_and_not_known_elsewhere():
    made = page()
    said = made.texts("figcaption")
    assert len(said) == 12
    assert said[0].startswith(
        "Temperature : last 78.0 °C (2026-11-30 00:00 UTC), 70.0 to 78.0 °C in"
    )
    assert said[1] == "Memory of the server : not known; nothing that is kept has it."
    assert said[9].endswith("2400 to 2429 MiB in 30 runs; planned 2600 MiB (dashed)")
    assert said[11].startswith("Benchmarks of qwen2.5-3b : last 6.1 tokens/s (2026-08-30 09:46")
    assert len(made.all("svg")) == 5
    assert all(each["role"] == "img" for each in made.all("svg"))


def test_checks_that_were_not_always_well_are_shown_run_by_run():
    rows = page().texts("tr")
    (answers,) = [row for row in rows if row.startswith("serving.model_answers ✓")]
    assert re.findall("pass|fail", answers) == ["pass"] * 6 + ["fail"] * 3
    (health,) = [row for row in rows if row.startswith("serving.health_is_ok ✓ pass ✓")]
    assert re.findall("pass|fail", health).index("fail") == 2


def test_a_page_without_reports_says_what_is_not_known():
    made = page(Checked("verify", AT_S, RESULTS))
    assert made.all("svg") == []
    assert made.texts("p").count("Not known: no kept report has this host's checks.") == 3


def test_reports_that_could_not_be_read_are_named():
    (said,) = [text for text in page().texts("p") if "cannot be read" in text]
    assert said.endswith("20261101-000000-1.jsonl.")


def test_what_a_run_found_otherwise_than_the_last_kept_one_has_no_since():
    several = (one("pi5-a", "base", "x", "fail"),)
    made = page(Checked("verify", AT_S, several, History({"pi5-a": HISTORY.looks["pi5-a"]})))
    assert "not known" in made.texts("tr")[1]


# For those who do not see it, and for those who see it on a telephone


def test_the_page_has_a_language_one_head_and_levels_without_a_gap():
    made = page()
    assert made.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _, _ in made.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {"viewport", "color-scheme"} <= {each.get("name") for each in made.all("meta")}


def test_every_head_of_a_table_says_what_it_heads():
    made = page()
    assert {attributes["scope"] for attributes in made.all("th")} == {"col", "row"}
    for attributes in made.all("div"):
        if attributes["class"] == "wide":
            assert (attributes["role"], attributes["tabindex"]) == ("region", "0")
            assert attributes["aria-label"]


def test_a_status_is_a_word_and_never_a_colour_alone():
    made = page()
    for name, attributes, texts in made.elements:
        if name == "span" and attributes.get("class", "").startswith("status "):
            assert attributes["class"].split()[1] in "".join(texts)


def luminance(colour):
    """WCAG 2's relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one_colour, other):
    high, low = sorted((luminance(one_colour), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_can_be_read_on_both_papers(scheme):
    colours = dict(
        re.findall(r"--(\w+): (#\w{6})", re.findall(r":root \{(.*?)\}", STYLE, re.S)[scheme])
    )
    texts = ("ink", "quiet", "link", "fail", "unknown", "warn", "pass", "skip", "line")
    assert {*texts, "paper", "soft", "rule"} == colours.keys()
    for name in texts:
        for paper in ("paper", "soft"):
            assert contrast(colours[name], colours[paper]) >= 4.5, (name, paper)


def test_the_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48


# Charts


@pytest.mark.parametrize(
    "values",
    [
        [(0, 5.0)],
        [(0, 5.0), (0, 6.0)],
        [(0, 0.0), (9, 0.0)],
        [(1, -5.0), (2, -5.0)],
        [(1, 1e9), (2, 0)],
    ],
)
def test_every_value_lies_in_the_drawing(values):
    made = charts.chart("T", "°C", values, [(3, 7.0)])
    for dot in made.dots:
        assert charts.LEFT <= dot.x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP <= dot.y <= charts.HEIGHT - charts.BOTTOM


def test_a_higher_value_lies_higher_and_a_later_one_to_the_right():
    first, second = charts.chart("T", "°C", [(1, 50.0), (2, 60.0)]).dots
    assert first.x < second.x
    assert first.y > second.y


def test_nothing_is_drawn_of_nothing():
    assert charts.chart("T", "°C", []) is None
