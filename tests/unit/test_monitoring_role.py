"""The role monitoring: what it plans, when it does something, and that its secrets stay secrets."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bramble import registry
from bramble.difference import Difference
from bramble.fleet import load
from bramble.outputs import Served
from bramble.plan import File, Inputs, make
from bramble.prepared import Prepared
from bramble.roles.monitoring.plan import command_line
from bramble.roles.monitoring.settings import Settings
from bramble.roles.monitoring.wanted import watched
from bramble.secret_sources import Missing
from bramble.secret_sources import read as read_secret
from bramble.snapshot import Snapshot
from bramble.steps import as_dict
from bramble.testing.roles import due, planned
from tests.unit.good_node import CLIENTS, PEM, PI5, ROLES, good_look, node_plan, settings
from tests.unit.looks import WHY, plain, with_file, with_unit_named
from tests.unit.roles.gateway.good import others
from tests.unit.roles.monitoring.good import (
    EXPORTER,
    FIGURES,
    METRICS,
    NTFY,
    PUSH,
    TEXTFILE,
    TIMER,
    WATCHED,
)

CANARY = "https://ntfy.sh/CanaryOfThisVeryTest"
NTFY_SET = {"secrets": {"ntfy": {"environment": "BRAMBLE_TEST_OF_NTFY"}}}
PLAN = node_plan()
GOOD = good_look(PLAN)
MONITORING = PLAN.roles["monitoring"]
SYSTEM = "/etc/systemd/system"


def given(said=CANARY, **values):
    """The plan of a node in a run that was given its secrets, or was not."""
    sections = settings(monitoring={**NTFY_SET, **values}, serving={"expose": "tls"})
    beside = Prepared(
        secret=lambda source: said if source.environment else read_secret(source),
        clients=CLIENTS,
        certificates={"pi5-a": PEM},
        authority="ca",
        hosts=others(),
    )
    return make("pi5-a", sections, PI5, ROLES, beside)


def steps(plan, look):
    found = registry.role("monitoring").steps(plan.roles["monitoring"], plan, look)
    return {step.name: step for step in found if step.why is not None}


def text(path, plan=PLAN):
    return next(file.text for file in plan.roles["monitoring"].files if file.path == path)


# Which hosts have it


def test_a_host_has_it_where_its_inventory_has_the_section_and_nowhere_else(tmp_path):
    model = "{name: toy, url: 'http://example.org/a.gguf', sha256: '" + "0" * 64 + "'}"
    hosts = "a: {monitoring: {port: 9101}}, b: , c: {monitoring: {}}, d: {node: {roles: [base]}}"
    (tmp_path / "fleet.yml").write_text(
        f"settings: {{model: {model}}}\nhosts: {{{hosts}, e: {{node: {{roles: [monitoring]}}}}}}\n"
    )
    found = load(tmp_path).hosts
    have = {name for name, host in found.items() if "monitoring" in host.settings}
    assert have == {"a", "c", "e"}
    assert set(found["b"].settings) == set(registry.sections()) - {"gateway", "monitoring"}


# Settings


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "224.0.0.1", "pi5-a.local", "", "127.0.0.1:9100", "127.0.0.1 --x"]
)
def test_an_address_that_is_no_one_address_is_refused(host):
    with pytest.raises(ValueError, match="address of the node"):
        planned("monitoring", {"host": host})


def test_a_bot_needs_a_chat_and_a_chat_a_bot():
    for values in ({"telegram_chat": "1"}, {"secrets": {"telegram": {"environment": "A"}}}):
        with pytest.raises(ValueError, match="go together"):
            planned("monitoring", values)


def test_an_ipv6_address_is_in_brackets_where_a_port_follows():
    part = planned("monitoring", {"host": "2001:db8::1"}).roles["monitoring"]
    assert part.url == "http://[2001:db8::1]:9100/metrics"
    assert "--web.listen-address=[2001:db8::1]:9100" in part.argv


# What is planned


def test_the_loopback_alone_may_ask_an_exporter_of_the_loopback():
    near, far = (planned("monitoring", {"host": host}) for host in ("127.0.0.1", "192.168.1.41"))
    path = f"{SYSTEM}/{EXPORTER}.d/99-bramble.conf"
    assert "IPAddressAllow=localhost" in text(path, near)
    assert "IPAddress" not in text(path, far)
    assert "--web.listen-address=192.168.1.41:9100" in text(path, far)


def test_what_systemd_reads_as_a_variable_is_doubled_in_the_unit_and_not_in_the_process():
    assert any("($|/)" in word for word in MONITORING.argv)
    assert "($$|/)" in text(f"{SYSTEM}/{EXPORTER}.d/99-bramble.conf")
    assert command_line(Settings()) == MONITORING.argv


@pytest.mark.parametrize("unit", [EXPORTER, METRICS, PUSH])
def test_each_unit_is_sandboxed_as_the_server_is(unit, tmp_path):
    """1.5 of systemd-analyze; the exporter's is Debian's own unit under our drop-in."""
    for file in given().roles["monitoring"].files:
        if file.path.startswith(SYSTEM):
            there = tmp_path / file.path.lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(file.text)
    debians = "[Service]\nUser=prometheus\nExecStart=/usr/bin/prometheus-node-exporter $ARGS\n"
    (tmp_path / f"etc/systemd/system/{EXPORTER}").write_text(debians)
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=15"]
    done = subprocess.run(
        [*words, f"--root={tmp_path}", unit], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exposure level" in done.stdout


def test_the_plan_of_the_serving_role_tells_what_is_watched():
    assert isinstance(PLAN.roles["serving"], Served)
    found = json.loads(watched(MONITORING, PLAN).text)["server"]
    serving, model = PLAN.roles["serving"], PLAN.roles["model"]
    assert (found["unit"], found["url"]) == ("llama-server.service", "http://127.0.0.1:8080")
    assert (found["build"], found["question"]) == (serving.build_info, serving.question)
    assert (found["model_path"], found["model_sha256"]) == (model.path, model.sha256)
    assert sum(isinstance(part, Served) for part in PLAN.roles.values()) == 1


def test_a_host_without_a_model_watches_no_server():
    plan = planned("monitoring")
    found = json.loads(watched(plan.roles["monitoring"], plan).text)
    assert (found["server"], found["edge"], found["gateway"]) == (None, None, None)


def test_the_way_in_is_watched_where_there_is_one():
    found = json.loads(watched(MONITORING, PLAN).text)["edge"]
    assert found == {"socket": "/run/bramble-edge/figures.sock", "queue": 8}
    local = node_plan(serving={"expose": "local"})
    assert json.loads(watched(local.roles["monitoring"], local).text)["edge"] is None


@pytest.mark.parametrize("which", ["edge", "gateway"])
def test_figures_of_a_way_in_that_was_down_are_made_anew_by_the_run_that_mends_it(which):
    text = FIGURES.replace(f"{which}_up 1", f"{which}_up 0")
    found = steps(PLAN, with_file(GOOD, TEXTFILE, plain(text)))
    assert [*found] == ["Have the node watch itself"]
    assert f"bramble_{which}_up is 0" in found["Have the node watch itself"].why
    for unread in (plain("up 0 0"), None, WHY):
        assert steps(PLAN, with_file(GOOD, TEXTFILE, unread)) == {}


def test_a_gateway_is_watched_by_its_models_and_what_haproxy_calls_them():
    found = json.loads(watched(MONITORING, PLAN).text)["gateway"]
    assert found == {
        "socket": "/run/bramble-gateway/figures.sock",
        "queue": 32,
        "pools": {"pool1": ["small"]},
    }


def test_all_files_of_all_roles_are_compared_but_for_those_that_nobody_may_read():
    secret = File(path="/etc/key", text="x", mode=0o644, secret=True)
    hidden = File(path="/etc/sudoers.d/x", text="x", mode=0o440)
    base = replace(PLAN.roles["base"], files=(*PLAN.roles["base"].files, secret, hidden))
    found = json.loads(watched(MONITORING, replace(PLAN, roles={**PLAN.roles, "base": base})).text)
    assert found["files"][f"{SYSTEM}/llama-server.service"] == next(
        file.sha256 for file in PLAN.roles["serving"].files if file.path.endswith("server.service")
    )
    assert {"/etc/key", "/etc/sudoers.d/x"} & {*found["files"], *found["perhaps"]} == set()
    # A container has no swap of its own.
    assert set(found["perhaps"]) == {file.path for file in PLAN.roles["memory"].files}


# Steps


def test_nothing_is_due_on_a_good_node():
    assert steps(PLAN, GOOD) == {}


def test_a_fresh_node_gets_the_drop_in_before_the_package_whose_script_starts_the_exporter():
    plan = given()
    names = list(steps(plan, Snapshot(files=dict.fromkeys(asked()))))
    assert names == [
        "Write monitoring's files",
        "Install the exporter",
        "Run the exporter",
        "Have the node watch itself",
    ]
    assert "prometheus-node-exporter" not in plan.packages


def asked():
    sections = settings(monitoring=NTFY_SET)
    return registry.role("monitoring").facts_needed(sections["monitoring"], Inputs("pi5-a")).files


def test_the_node_watches_itself_once_in_the_run_that_changed_what_it_runs():
    look = with_file(GOOD, WATCHED, plain("{}"))
    (written, watching) = steps(PLAN, look).values()
    assert written.writes == (WATCHED,)
    assert watching.query["restart"] == [TIMER]
    assert watching.query["start"] == [METRICS]


def test_an_exporter_with_other_arguments_is_restarted_and_nothing_else_is_touched():
    process = replace(GOOD.process(EXPORTER), argv=("/usr/bin/prometheus-node-exporter",))
    found = steps(PLAN, with_unit_named(GOOD, EXPORTER, process=process))
    assert list(found) == ["Run the exporter"]
    assert found["Run the exporter"].why == "the exporter runs with other arguments"


def test_a_channel_that_is_no_longer_wanted_leaves_nothing_behind():
    plan = node_plan(monitoring={"secrets": {}})
    found = steps(plan, GOOD)["Remove what nobody is told by any more"]
    assert set(found.writes) == {NTFY, f"{SYSTEM}/{PUSH}", "/usr/local/lib/bramble/push.py"}


# Secrets


def test_a_secret_goes_into_its_file_and_into_no_plan_difference_or_repr():
    plan = given()
    (secret,) = [file for file in plan.roles["monitoring"].files if file.secret]
    assert (secret.path, secret.mode, secret.text) == (NTFY, 0o600, f"{CANARY}\n")
    found = {"monitoring": tuple(steps(plan, GOOD).values())}
    said = json.dumps(as_dict(plan, found)) + repr(plan) + repr(found)
    assert "CanaryOfThisVeryTest" not in said
    (difference,) = [d for d in found["monitoring"][0].diffs if d.path == NTFY]
    assert isinstance(difference, Difference)
    assert (difference.before, difference.after) == ("", "")
    (entry,) = found["monitoring"][0].query["files"]
    assert entry["text"] == f"{CANARY}\n"
    others = [file for file in plan.roles["monitoring"].files if not file.secret]
    assert not any("CanaryOfThisVeryTest" in file.text for file in others)
    assert "CanaryOfThisVeryTest" not in watched(plan.roles["monitoring"], plan).text


def test_the_unit_reads_each_secret_as_a_credential():
    unit = text(f"{SYSTEM}/{PUSH}", given())
    assert f"LoadCredential=ntfy:{NTFY}\n" in unit
    assert "Environment=" not in unit


def test_a_run_without_the_secret_keeps_the_nodes_and_says_so():
    plan = given(Missing("the variable X is not set"))
    assert steps(plan, GOOD) == {}
    assert plan.warnings[-1:] == (
        "monitoring.secrets.ntfy: the variable X is not set; the node keeps the one that it has",
    )


def test_a_run_without_the_secret_is_refused_where_the_node_has_none():
    plan = given(Missing("the variable X is not set"))
    found = next(iter(steps(plan, with_file(GOOD, NTFY, None)).values()))
    assert found.program == "refuse"
    assert "monitoring.secrets.ntfy: the variable X is not set, and the node has none" in found.why


def test_a_node_that_does_not_say_whether_it_has_the_secret_is_not_refused():
    plan = given(Missing("the variable X is not set"))
    assert steps(plan, with_file(GOOD, NTFY, WHY)) == {}


def test_the_look_asks_for_no_secrets_text():
    role = registry.role("monitoring")
    facts = role.facts_needed(settings()["monitoring"], Inputs("pi5-a"))
    assert NTFY in facts.secret
    assert set(facts.secret) <= set(facts.files)


# Taking it back


def test_what_is_taken_back_are_the_units_and_each_file_and_a_second_time_nothing():
    found = due_back(GOOD)
    assert found["End the exporter and the timer"].query["stop"] == [TIMER, EXPORTER]
    gone = set(found["Remove monitoring's files"].writes)
    assert {NTFY, WATCHED, f"{SYSTEM}/{METRICS}"} <= gone
    bare = replace(
        with_unit_named(
            with_unit_named(GOOD, TIMER, active="inactive", enabled=""),
            EXPORTER,
            active="inactive",
            enabled="disabled",
        ),
        files={**GOOD.files, **dict.fromkeys(asked())},
    )
    assert due_back(bare) == {}


def due_back(look):
    alone = replace(PLAN, roles={"monitoring": MONITORING})
    return due(alone, look, "revert")


def test_the_texts_of_the_programs_are_read_by_the_look_whole():
    """A text above the probe's limit would have no difference to show."""
    for file in given().roles["monitoring"].files:
        assert len(file.text.encode()) < 64 * 1024, file.path
        if Path(file.path).suffix == ".py":
            compile(file.text, file.path, "exec")
