"""Whatever a node says, and whatever a kept report holds: every format stays what it is."""

import csv
import io
import json
import re
from contextlib import suppress
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from bramble.reporting import formats, history
from bramble.reporting.history import History
from bramble.reporting.results import Checked
from bramble.sanitize import clean
from bramble.system import exposition
from tests.faults.fuzz import TEXTS, examples, mangled
from tests.unit.reporting.runs import AT_S, HOSTILE, RESULTS
from tests.unit.reporting.test_page import ELEMENTS, Page

pytestmark = pytest.mark.untrusted

SAID = some.sampled_from((*TEXTS, HOSTILE)) | some.text(max_size=40)
NUMBER = len(RESULTS)


def checked(got, want, remedy):
    """The run of all statuses, in which each result says these."""
    several = tuple(replace(one, got=got, want=want, remedy=remedy) for one in RESULTS)
    return Checked("verify", AT_S, several)


@examples(60)
@given(SAID, SAID, SAID)
@example(HOSTILE, HOSTILE, HOSTILE)
def test_every_format_stays_what_it_is(got, want, remedy):
    run = checked(got, want, remedy)
    made = {name: formats.written(name, run) for name in formats.NAMES}
    for text in made.values():
        assert all(c.isprintable() or c in "\r\n\t" for c in text)
    assert {each["got"] for each in json.loads(made["json"])["results"]} == {clean(got)}
    cases = [*ElementTree.fromstring(made["junit"]).iter("testcase")]
    assert len(cases) == NUMBER
    assert len(re.findall(r"^(?:not )?ok \d+ - ", made["tap"], re.MULTILINE)) == NUMBER
    directives = re.findall(r"^(?:not )?ok [^\\#]* # (?:TODO|SKIP)", made["tap"], re.MULTILINE)
    assert len(directives) == 2
    assert (made["nagios"].count("\n"), made["nagios"].count("|")) == (1, 1)
    assert len(exposition.parse(made["prometheus"])) == 1 + 3 * 5 + 6
    rows = [*csv.DictReader(io.StringIO(made["csv"], newline=""))]
    assert [row["status"] for row in rows] == [
        result.status for results in run.hosts.values() for result in results
    ]
    assert {tag for tag, _, _ in Page(made["html"]).elements} <= ELEMENTS
    assert len([line for line in made["text"].splitlines() if line.startswith("  ")]) == 4 * 2


EVENT = {"event": "result", "at": AT_S, "host": "pi5-a", "role": "base", "check": "x"}
FIGURES = {"temperature_c": 61.5, "resident_mib": 2400, "planned_mib": 2600, "tokens_per_s": 9.5}
KEPT = [
    {**EVENT, "status": "fail"},
    {**EVENT, "event": "figures", **FIGURES},
    {**EVENT, "event": "host", "state": "unreachable", "why": "no route"},
]


@examples(150)
@given(mangled(KEPT), mangled(KEPT))
def test_a_page_is_made_of_whatever_a_kept_report_holds(first, second):
    looks = []
    for events in (first, second):
        with suppress(ValueError):  # for what is no list of events
            looks += history.looks(events if isinstance(events, list) else [events]).values()
    run = Checked("verify", AT_S, RESULTS, History({"pi5-a": tuple(looks)}))
    assert {tag for tag, _, _ in Page(formats.written("html", run)).elements} <= ELEMENTS
