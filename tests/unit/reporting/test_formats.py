"""Each format says the same of the same results, to a reader that is not ours where there is one."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import yaml

from bramble.checks import Result
from bramble.cli import reports as options
from bramble.reporting import csv_text, formats, json_text, nagios
from bramble.reporting.results import Checked, worst
from bramble.system import exposition
from tests.unit.reporting.runs import AT_S, CHECKED, HOSTILE, NOTHING, RESULTS, WELL, one

STATUSES = ("fail", "unknown", "warn", "pass", "skip")


def text(name, checked=CHECKED):
    return formats.written(name, checked)


def found(status):
    """The results of one status, as `host role.check`."""
    return {f"{r.host} {r.role}.{r.check}" for r in RESULTS if r.status == status}


def with_got(got):
    """A run of one result that failed with this text of the node's."""
    return Checked("verify", AT_S, (one("pi5-a", "serving", "model_answers", "fail", got),))


def test_the_command_offers_every_format():
    assert options.NAMES == formats.NAMES


@pytest.mark.parametrize("name", formats.NAMES)
@pytest.mark.parametrize("checked", [CHECKED, NOTHING, WELL], ids=["all", "nothing", "well"])
def test_no_format_has_what_moves_a_cursor_or_is_no_text(name, checked):
    made = text(name, checked)
    assert made.endswith("\n") or checked is NOTHING
    assert [c for c in made if not c.isprintable() and c not in "\r\n\t"] == []
    made.encode("utf-8")


@pytest.mark.parametrize("name", formats.NAMES)
def test_every_format_names_what_fails(name):
    for part in ("model_answers", "reachable", "pi4-b", "cm5-c"):
        assert part in text(name)


def test_what_is_wrong_comes_first_by_host_and_role():
    hosts = CHECKED.hosts
    assert list(hosts) == ["pi4-b", "cm5-c", "pi5-a"]
    assert [(r.role, r.status) for r in hosts["pi4-b"]] == [
        ("serving", "fail"),
        ("power", "unknown"),
        ("power", "warn"),
        ("base", "pass"),
    ]
    assert [worst(results) for results in hosts.values()] == ["fail", "fail", "pass"]


def test_a_role_stays_together_though_another_has_the_next_worst_result():
    several = (
        one("a", "base", "one", "fail"),
        one("a", "serving", "two", "fail"),
        one("a", "base", "three", "warn"),
    )
    (ordered,) = Checked("verify", AT_S, several).hosts.values()
    assert [result.check for result in ordered] == ["one", "three", "two"]


# Text


def test_people_see_a_line_for_a_host_that_is_well_and_a_remedy_under_what_is_not():
    lines = text("text").splitlines()
    assert lines[0] == "pi4-b: 1 fail, 1 unknown, 1 warn, 1 pass"
    assert lines[1].startswith("  fail    serving.model_answers: </td><script>")
    assert lines[1].endswith("; wanted: an answer")
    assert lines[2] == "          to do: Deploy again."
    assert lines[-1] == "pi5-a: 2 pass, 1 skip"
    assert len(lines) == 1 + 3 * 2 + 1 + 2 + 1


def test_what_to_do_is_said_once_for_all_that_is_mended_by_it():
    several = [
        Result("a", "serving", check, status, "y", "x", remedy)
        for check, status, remedy in (
            ("one", "fail", "Deploy."),
            ("two", "fail", "Look."),
            ("three", "fail", "Deploy."),
            ("four", "warn", "Deploy."),
        )
    ]
    assert formats.written("text", Checked("verify", 0, tuple(several))).splitlines() == [
        "a: 3 fail, 1 warn",
        "  fail    serving.one: x; wanted: y",
        "  fail    serving.three: x; wanted: y",
        "          to do: Deploy.",
        "  fail    serving.two: x; wanted: y",
        "          to do: Look.",
        "  warn    serving.four: x; wanted: y",
        "          to do: Deploy.",
    ]


# JSON


def test_json_is_what_its_schema_says():
    made, schema = json.loads(text("json")), json_text.schema()
    assert made.keys() == schema["properties"].keys() == set(schema["required"])
    row = schema["$defs"]["CheckResult"]
    assert all(each.keys() == row["properties"].keys() for each in made["results"])
    assert row["properties"]["status"]["enum"] == ["pass", "warn", "fail", "skip", "unknown"]
    assert (made["kind"], made["version"]) == (
        schema["properties"]["kind"]["const"],
        schema["properties"]["version"]["const"],
    )
    assert all(part.get("description") for part in schema["properties"].values())


def test_json_has_the_results_in_the_runs_order_and_when_they_were_found():
    made = json.loads(text("json"))
    assert [each["check"] for each in made["results"]] == [result.check for result in RESULTS]
    assert (made["command"], made["at"]) == ("verify", "2026-12-01T00:00:00Z")


# JUnit. Rules of junit-10.xsd of Jenkins' plugin xunit: what may be in what, and what must be named.

INSIDE = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase", "properties", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err"},
    "skipped": set(),
    "error": set(),
    "failure": set(),
}
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": REQUIRED["testsuite"] | {"skipped", "timestamp", "hostname", "time", "id"},
    "testcase": {"name", "time", "classname", "group"},
    "skipped": {"type", "message"},
    "error": {"type", "message"},
    "failure": {"type", "message"},
}


def junit(checked=CHECKED):
    return ElementTree.fromstring(text("junit", checked))


@pytest.mark.parametrize("checked", [CHECKED, NOTHING, WELL], ids=["all", "nothing", "well"])
def test_junit_keeps_the_rules_that_jenkins_has(checked):
    root = junit(checked)
    assert root.tag == "testsuites"
    for element in root.iter():
        assert {child.tag for child in element} <= INSIDE[element.tag]
        assert REQUIRED.get(element.tag, set()) <= {*element.keys()} <= ALLOWED[element.tag]


def test_junit_counts_what_it_holds():
    for group in junit().iter():
        if group.tag in ("testsuites", "testsuite"):
            held = Counter(part.tag for case in group.iter("testcase") for part in case)
            assert int(group.attrib["tests"]) == len([*group.iter("testcase")])
            assert int(group.attrib["failures"]) == held["failure"]
            assert int(group.attrib["errors"]) == held["error"]
            assert int(group.get("skipped", held["skipped"])) == held["skipped"]


def test_junit_has_a_suite_for_each_host_and_an_error_for_what_is_not_known():
    root = junit()
    assert [suite.attrib["name"] for suite in root] == ["pi4-b", "cm5-c", "pi5-a"]
    parts = {"failure": "fail", "error": "unknown"}
    for tag, status in parts.items():
        cases = root.findall(f".//testcase[{tag}]")
        named = {f"{c.attrib['classname'].replace('.', ' ')}.{c.attrib['name']}" for c in cases}
        assert named == found(status)
    skipped = {case.attrib["name"]: case.find("skipped") for case in root.iter("testcase")}
    assert skipped["supply_is_rated_for_a_pi_5"].attrib["message"] == "only a Pi 5 tells"
    assert skipped["temperature_is_moderate"].attrib["type"] == "warn"
    assert "to do: Cool it." in skipped["temperature_is_moderate"].text
    passed = [case for case in root.iter("testcase") if not len(case)]
    assert len(passed) == len(found("pass"))


def test_junit_says_of_a_failure_what_was_wanted_and_found_and_what_to_do():
    failure = junit().find(".//failure")
    assert failure.text.startswith("wanted: an answer\ngot: </td><script>")
    assert failure.text.endswith("to do: Deploy again.")
    assert failure.attrib["message"].startswith("</td><script>")


# TAP

PROVE = shutil.which("prove")


def points(made):
    """The test points of a text, by the rules of TAP 14: ok, number, description, directive, YAML."""
    lines = made.splitlines()
    assert lines[0] == "TAP version 14"
    for number, line in enumerate(lines):
        if point := re.match(r"(not )?ok (\d+) - ((?:[^#\\]|\\[#\\])*?)(?: # (.*))?$", line):
            rest, block = lines[number + 1 :], None
            if rest[:1] == ["  ---"]:
                block = yaml.safe_load("\n".join(rest[1 : rest.index("  ...")]))
            yield point[1] is None, int(point[2]), point[3], point[4] or "", block


def test_tap_has_a_point_for_each_check_and_says_of_what_is_not_ok_why():
    several = [*points(text("tap"))]
    assert text("tap").splitlines()[1] == f"1..{len(RESULTS)}"
    assert [number for _, number, *_ in several] == [*range(1, len(RESULTS) + 1)]
    by_name = {name.replace(": ", " "): rest for ok, _, name, *rest in several if not ok}
    assert by_name.keys() == found("fail") | found("unknown") | found("warn")
    todo = {name for name, (directive, _) in by_name.items() if directive.startswith("TODO")}
    assert todo == found("warn")
    assert by_name["cm5-c ssh.reachable"][1] == {
        "status": "fail",
        "want": "a host that can be looked at",
        "got": "no route",
        "remedy": "The log.",
    }
    skipped = [directive for ok, _, _, directive, _ in several if directive.startswith("SKIP")]
    assert skipped == ["SKIP only a Pi 5 tells"]


@pytest.mark.skipif(PROVE is None, reason="there is no prove (Perl's)")
@pytest.mark.parametrize(("checked", "code"), [(CHECKED, 1), (WELL, 0)], ids=["all", "well"])
def test_perls_prove_reads_it_and_fails_for_what_is_not_ok(tmp_path, checked, code):
    # That of Debian 12 knows 13, with which 14 is compatible but for its number.
    (tmp_path / "run.tap").write_text(text("tap", checked).replace("version 14", "version 13"))
    done = subprocess.run(
        [PROVE, "--exec", "cat", "run.tap"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Parse errors" not in done.stdout
    if code:
        assert "Failed 3/8 subtests" in done.stdout
        assert "Failed tests:  1-2, 5" in done.stdout


# Nagios. The line and its performance data by the Monitoring Plugins' development guidelines.

PERFORMANCE = re.compile(r"([a-z]+)=(\d+)(;[\d:]*;[\d:]*;\d*;\d*)")


@pytest.mark.parametrize(
    ("statuses", "word", "code"),
    [
        (["pass", "skip"], "OK", 0),
        (["pass", "warn"], "WARNING", 1),
        (["warn", "unknown"], "UNKNOWN", 3),
        (["unknown", "fail"], "CRITICAL", 2),
        ([], "UNKNOWN", 3),
    ],
)
def test_nagios_gets_one_line_with_its_state_and_code(statuses, word, code):
    several = tuple(one("a", "base", f"c{n}", status) for n, status in enumerate(statuses))
    checked = Checked("verify", AT_S, several)
    line = text("nagios", checked)
    assert line.startswith(f"{word}: ")
    assert (line.count("\n"), nagios.exit_code(checked)) == (1, code)


def test_nagios_performance_data_are_the_counts_with_their_limits():
    said, _, data = text("nagios").rstrip("\n").partition(" | ")
    assert "|" not in said + data
    parsed = [PERFORMANCE.fullmatch(each).groups() for each in data.split(" ")]
    assert {name: int(value) for name, value, _ in parsed} == {
        status: len(found(status)) for status in STATUSES
    }
    limits = {name: rest for name, _, rest in parsed}
    assert (limits["fail"], limits["warn"], limits["pass"]) == (";;0;0;8", ";0;;0;8", ";;;0;8")
    assert said.index("cm5-c ssh.reachable") < said.index("power.voltage_is_enough")


def test_nagios_passes_nothing_on_that_a_shell_or_a_page_would_take_for_its_own():
    said = text("nagios", with_got(HOSTILE)).partition(" | ")[0]
    assert set("`~$&|'\"<>") & set(said) == set()
    assert len(text("nagios", with_got("x" * 5000))) < 500
    # Nagios would make a colon of it.
    assert ";" not in text("nagios", with_got("the one; the other")).partition(" | ")[0]


# Prometheus


def test_prometheus_gets_counts_and_each_check_that_could_be_told():
    samples = exposition.parse(text("prometheus"))
    assert exposition.value(samples, "bramble_verify_timestamp_seconds") == AT_S
    labels = {"host": "pi4-b", "status": "unknown"}
    assert exposition.value(samples, "bramble_verify_checks", **labels) == 1
    judged = {
        f"{s.labels['host']} {s.labels['role']}.{s.labels['check']}": s.value
        for s in samples
        if s.name == "bramble_verify_check_success"
    }
    assert judged == {
        **dict.fromkeys(found("pass"), 1),
        **dict.fromkeys(found("fail") | found("warn"), 0),
    }


def test_prometheus_gets_a_result_that_is_there_twice_once_with_the_worst():
    twice = (one("a", "base", "x", "pass"), one("a", "base", "x", "fail"))
    samples = exposition.parse(text("prometheus", Checked("audit", AT_S, twice)))
    labels = {"host": "a", "role": "base", "check": "x"}
    assert exposition.value(samples, "bramble_audit_check_success", **labels) == 0


def test_names_with_quotes_and_line_ends_stay_labels():
    odd = replace(RESULTS[0], host='a"b\\c\nd')
    (sample, *_) = [
        sample
        for sample in exposition.parse(text("prometheus", Checked("verify", AT_S, (odd,))))
        if "host" in sample.labels
    ]
    assert sample.labels["host"] == 'a"b\\c\nd'


# CSV


def test_csv_has_a_head_and_a_line_for_each_result():
    rows = [*csv.DictReader(io.StringIO(text("csv"), newline=""))]
    assert len(rows) == len(RESULTS)
    assert {
        f"{r['host']} {r['role']}.{r['check']}" for r in rows if r["status"] == "fail"
    } == found("fail")
    assert {row["at"] for row in rows} == {"2026-12-01T00:00:00Z"}


@pytest.mark.parametrize(
    "said",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", '"=1', "\uff1d1", "\n=1"),
        *("x;=1", "x,=1", "x\t=1", "x|+1", 'x";"=1', "x\n-1"),
    ],
)
def test_no_cell_is_a_formula_in_whichever_way_a_spreadsheet_splits_lines(said):
    (row,) = csv.DictReader(io.StringIO(text("csv", with_got(said)), newline=""))
    for cell in re.split("[;,|\t\n]", row["got"]):
        assert cell.lstrip(' "')[:1] not in (*"=+-@", "\uff1d")
    assert row["got"].replace("'", "") == said


@pytest.mark.parametrize("said", ["81.0 °C", "a-b", "x = y", "user@host", "2 + 2"])
def test_other_text_stays_as_it_is(said):
    assert csv_text.harmless(said) == said
