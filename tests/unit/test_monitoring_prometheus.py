"""What Prometheus and Grafana get: targets of the inventory, and queries of what is really told."""

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bramble.cli import main
from bramble.monitoring import dashboard
from bramble.remote import node_watch
from bramble.roles.monitoring.wanted import watched
from tests.nodes import asked_dashboard
from tests.nodes.asked_dashboard import Series
from tests.unit.good_node import node_plan
from tests.unit.looks import recorded

MODEL = "{name: toy, url: 'http://example.org/a.gguf', sha256: '" + "0" * 64 + "'}"
OWN_OF_PROMETHEUS = {"up", "ALERTS"}
# In a query: texts, labels, spans and the lists of labels go, and what is left are metrics, functions
# (followed by a bracket) and words of the language.
NO_NAMES = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)')
NAME = re.compile(r"(?<![\w.:$])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
WORDS = {"or", "and", "unless", "bool", "offset"}


def names_in(query):
    """The metrics that a query names."""
    return set(NAME.findall(NO_NAMES.sub(" ", query))) - WORDS


def told():
    """Every metric that a node may tell."""
    plan = node_plan()
    wanted = json.loads(watched(plan.roles["monitoring"], plan).text)
    server = dict.fromkeys(("build", "model", "answer", "restarts", "healthy", "state"))
    seen = {
        "at_s": 0,
        "deploy_s": 0,
        "board": dict.fromkeys(("throttled", "temperature", "volts")),
        "wrong": [],
        "hidden": [],
        "server": {**server, "memory": {}, "figures": {}, "models": {}},
        "edge": None,
        "gateway": None,
    }
    ours = {family[0] for family in node_watch.families(wanted, seen, [], 0.0)}
    return ours | set(recorded("node-exporter-names.bookworm-amd64.txt").split())


def run(*words):
    done = CliRunner().invoke(main, ["monitoring", *words])
    return done.exit_code, done.stdout, done.stderr


def rules():
    code, text, _ = run("rules")
    assert code == 0
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def queries():
    yield from ((rule["alert"], rule["expr"]) for rule in rules())
    for panel in dashboard.dashboard()["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])


QUERIES = list(queries())


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    hosts = """
      pi5-a: {monitoring: {host: 192.168.1.41}}
      pi5-b: {monitoring: {host: "2001:db8::1", port: 9200}}
      near: {monitoring: {}}
      without: """
    (tmp_path / "fleet.yml").write_text(f"settings: {{model: {MODEL}}}\nhosts:{hosts}\n")
    monkeypatch.setenv("BRAMBLE_INVENTORY", str(tmp_path))


# Targets


def test_a_server_finds_each_node_that_can_be_asked_by_the_name_that_people_know(fleet):
    code, said, _ = run("scrape")
    assert code == 0
    (job,) = yaml.safe_load(said)["scrape_configs"]
    assert job["job_name"] == "bramble"
    assert job["static_configs"] == [
        {"targets": ["192.168.1.41:9100"], "labels": {"instance": "pi5-a"}},
        {"targets": ["[2001:db8::1]:9200"], "labels": {"instance": "pi5-b"}},
    ]


def test_a_file_of_targets_has_the_same_without_a_job(fleet):
    (job,) = yaml.safe_load(run("scrape")[1])["scrape_configs"]
    assert yaml.safe_load(run("scrape", "--targets")[1]) == job["static_configs"]


def test_a_node_that_cannot_be_asked_is_named_with_what_to_do(fleet):
    code, said, why = run("scrape", "near", "without")
    assert (code, said) == (1, "")
    assert "near tells its figures on its own loopback alone: set monitoring.host" in why
    assert "without has no role monitoring" in why
    assert run("scrape", "pi5-a", "near")[0] == 0


def test_a_host_that_there_is_not_ends_the_command(fleet):
    assert run("scrape", "pi5")[0] == 2


# Rules and dashboard


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('up{job="x"} == 0', {"up"}),
        ("sum by (instance, job) (rate(a_total[5m])) / on (x) group_left b:c", {"a_total", "b:c"}),
        ('time() - a > 5 * b + 300 or vector(0) and c{d="e"}', {"a", "b", "c"}),
        ("1 - avg by (instance) (rate(a{b=~'c'}[1h]))", {"a"}),
    ],
)
def test_the_names_in_a_query_are_found(query, names):
    assert names_in(query) - {"group_left"} == names


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_every_query_asks_for_what_a_node_tells(where, query):
    names = names_in(query)
    assert names, query
    assert names - OWN_OF_PROMETHEUS <= told()


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_the_brackets_of_every_query_are_closed(where, query):
    bare = re.sub(r'"[^"]*"', "", query)
    assert [bare.count(sign) for sign in "({["] == [bare.count(sign) for sign in ")}]"]


@pytest.mark.parametrize("condition", ["undervoltage", "throttled"])
def test_the_labels_of_rules_are_those_that_a_node_gives(condition):
    assert condition in node_watch.CONDITIONS
    assert {"fail"} <= set(node_watch.STATES.values())


def test_every_alert_says_how_grave_it_is_which_host_it_is_about_and_what_to_do():
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
        assert rule["annotations"]["action"].endswith(".")
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 10


def test_every_alert_has_a_case_for_promtool_in_which_it_fires():
    cases = yaml.safe_load((Path(__file__).parents[1] / "prometheus/rules_test.yml").read_text())
    (silent, firing) = cases["tests"]
    fired = re.findall(r'alertname="(\w+)"', json.dumps(firing).replace("\\", ""))
    assert sorted(fired) == sorted(rule["alert"] for rule in rules())
    names = {re.match(r"\w+", entry["series"])[0] for entry in silent["input_series"]}
    asked = set().union(*(names_in(rule["expr"]) for rule in rules()))
    assert names == asked


def test_the_dashboard_is_json_whose_panels_neither_overlap_nor_leave_their_grid():
    code, said, _ = run("dashboard")
    assert code == 0
    made = json.loads(said)
    assert made == dashboard.dashboard()
    taken = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])


def test_every_query_of_the_dashboard_is_of_the_nodes_that_were_chosen():
    for panel in dashboard.dashboard()["panels"]:
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            asked = len(re.findall(r"\w\{", target["expr"]))
            assert target["expr"].count('job="bramble", instance=~"$instance"') == asked > 0
            assert "$OURS" not in target["expr"]


TARGET = {"legendFormat": "{{instance}} {{condition}}"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], ["nothing"]),
        ([({"instance": "a"}, (20.0,))], ["no label condition"]),
        ([({"instance": "a", "condition": "b"}, (20.0, 0.0))], ["0.0 celsius"]),
        ([({"instance": "a", "condition": "b"}, (float("nan"),))], ["nan celsius"]),
        ([({"instance": "a", "condition": "b"}, (20.0, 80.0))], []),
    ],
)
def test_an_answer_that_a_panel_cannot_draw_is_told(found, said):
    series = [Series(*one) for one in found]
    assert asked_dashboard.problems("celsius", TARGET, series) == said


def test_every_unit_of_a_panel_has_its_bounds():
    units = {unit for _, unit, _ in asked_dashboard.queries(dashboard.dashboard())}
    assert units <= set(asked_dashboard.UNITS)
