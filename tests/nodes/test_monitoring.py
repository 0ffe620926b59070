"""The role monitoring on a virtual Pi: who is told what, and where nothing is told.

The node gets base and monitoring alone, which takes no compile; so it watches its board and its files.
promtool, which is Debian's, judges there what this repository gives to Prometheus.
"""

import json
import shlex
import subprocess

import pytest
import yaml

from bramble import registry, virtual
from bramble.monitoring.dashboard import dashboard
from bramble.reporting import formats
from bramble.reporting.results import Checked
from bramble.virtual import lifecycle
from bramble.virtual.model import GATEWAY, address_of
from tests.nodes.fleet import BIN, ROOT, Lasting
from tests.nodes.leaks import Watch, canary, files_with, on_node
from tests.unit.remote.receiver import receiving
from tests.unit.reporting.runs import RESULTS

pytestmark = pytest.mark.nodes

NODE = "vpi-87"
VARIABLE, CANARY = "BRAMBLE_TEST_ADDRESS", canary()
CHECKS = [f"monitoring.{check.name}" for check in registry.role("monitoring").checks]
# Nothing is exposed here.
SKIPPED = ("monitoring.way_in_is_watched", "monitoring.gateway_is_watched")
WELL = dict.fromkeys(CHECKS, "pass") | dict.fromkeys(SKIPPED, "skip")
EXPORTER = "prometheus-node-exporter"
DROP_IN = f"/etc/systemd/system/{EXPORTER}.service.d/99-bramble.conf"
SECRETS, WATCHED = "/etc/bramble/secrets/push", "/etc/bramble/watched.json"
TEXTFILE, MANAGED = "/run/bramble-metrics/bramble.prom", "/etc/systemd/system/bramble-metrics.timer"
ASK = "curl -sf http://127.0.0.1:9100/metrics"
WATCH = "systemctl start bramble-metrics bramble-push || true"


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


class Monitored(Lasting):
    """A fleet of one node that tells a receiver of this computer of its changes."""

    address = ""

    def wants(self, **monitoring):
        own = {"node": {"roles": ["base", "monitoring"]}, "monitoring": monitoring}
        self.write([NODE], {NODE: own})

    def environment(self, **more):
        given = {VARIABLE: self.address} if self.address else {}
        return super().environment(**given, **more)

    def deploy(self):
        """The node's deploy, which must go well; the steps that were carried out."""
        done = self.pyinfra("node", "-y", "--diff")
        assert done.returncode == 0, done.stdout
        self.said = done.stdout
        return [event["step"] for event in self.events("step")]

    def found(self):
        return {check: self.verify()[1][NODE, check] for check in CHECKS}


SETTINGS = {
    # Runs that a test starts must not meet those of the timer.
    "every_s": 900,
    "secrets": {"webhook": {"environment": VARIABLE}},
}


@pytest.fixture(
    scope="module",
    params=[
        "bookworm",
        pytest.param("trixie", marks=[pytest.mark.thorough, pytest.mark.trixie]),
    ],
)
def up(request, virtual_pis):
    """The node, fresh; with it there is the network that the receiver is on."""
    virtual_pis.up(NODE, release=request.param)


@pytest.fixture(scope="module")
def receiver(up):
    with receiving(GATEWAY) as found:
        yield found


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, receiver):
    fleet = Monitored(tmp_path_factory.mktemp("fleet"))
    fleet.address = f"{receiver.url}/{CANARY}"
    fleet.wants(**SETTINGS)
    with Watch(CANARY, allowed=(str(BIN / "python"), str(BIN / "pyinfra"))) as fleet.watch:
        fleet.first = fleet.deploy()
    return fleet


def promtool(virtual_pis, arguments, **files):
    """What Debian's promtool on the node says of these files, in a folder of theirs."""
    for name, text in files.items():
        argv = virtual.ssh_argv(
            lifecycle.running(NODE), f"mkdir -p prom; cat >prom/{name.replace('_yml', '.yml')}"
        )
        subprocess.run(argv, input=text.encode(), check=True, timeout=60)
    return virtual_pis.said(NODE, f"cd prom && promtool {arguments} 2>&1")


@pytest.fixture(scope="module")
def prometheus(fleet, virtual_pis):
    """Debian's package, whose server is not wanted."""
    install = "apt-get -q -y install --no-install-recommends prometheus"
    script = (
        "ln -sf /dev/null /etc/systemd/system/prometheus.service; "
        f"DEBIAN_FRONTEND=noninteractive {install}"
    )
    virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(script)}")


def statuses(fleet):
    return {check: result["status"] for check, result in fleet.found().items()}


def test_the_first_deploy_ends_with_every_check_passing(fleet):
    assert fleet.first[-4:] == [
        "Write monitoring's files",
        "Install the exporter",
        "Run the exporter",
        "Have the node watch itself",
    ]
    assert statuses(fleet) == WELL


def test_a_second_run_changes_nothing(fleet):
    assert fleet.deploy() == []


def test_figures_are_told_on_the_loopback_and_nowhere_else(fleet, on):
    assert "bramble_run_timestamp_seconds" in on(ASK)
    assert "node_filesystem_size_bytes{" in on(ASK)
    listening = on("ss -Hltn 'sport = :9100'").split()
    assert "127.0.0.1:9100" in listening
    outside = ["curl", "-s", "-m", "5", f"http://{address_of(NODE)}:9100/metrics"]
    assert subprocess.run(outside, stdout=subprocess.DEVNULL).returncode == 7


def test_no_recommended_package_came_with_its_timers(fleet, on):
    said = on(
        "dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n' '*collectors*' smartmontools; true"
    )
    assert " ii" not in said
    assert "smart" not in on("systemctl list-timers --all --no-legend")


def test_the_board_is_told_as_the_double_of_vcgencmd_tells_it(fleet, on):
    figures = on(f"cat {TEXTFILE}")
    assert 'bramble_known{of="throttled"} 1' in figures
    assert 'bramble_throttled_now{condition="undervoltage"} 0' in figures


@pytest.mark.parametrize("unit", [EXPORTER, "bramble-metrics", "bramble-push"])
def test_each_unit_is_sandboxed_on_the_node_itself(fleet, on, unit):
    on(f"systemd-analyze security --no-pager --threshold=15 {unit}.service")
    assert on(f"systemd-analyze verify {unit}.service 2>&1; true") == ""


# What a person may do to a node: the check that finds it, and words that it finds.
FAULTS = {
    f"systemctl stop {EXPORTER}": {
        "exporter_runs_as_planned": "inactive",
        "exporter_is_bound_as_planned": "nothing listens",
        "figures_are_told": "nothing listens",
    },
    f"systemctl disable -q {EXPORTER}": {"exporter_runs_as_planned": "disabled"},
    f"sed -i s/127.0.0.1:9100/:9100/ {DROP_IN}; systemctl daemon-reload; "
    f"systemctl restart {EXPORTER}; until curl -sf 127.0.0.1:9100 >/dev/null; do sleep 0.1; done": {
        "exporter_runs_as_planned": "other arguments",
        "exporter_is_bound_as_planned": "*:9100",
        "files_are_as_written": ":9100",
    },
    f"rm {TEXTFILE}; systemctl stop bramble-metrics.timer": {
        "textfile_is_new_and_readable": "not there",
        "figures_are_told": "no bramble_run_timestamp_seconds",
        "timer_is_active": "inactive",
    },
    f"echo oops >>{TEXTFILE}; systemctl disable -q bramble-metrics.timer": {
        "textfile_is_new_and_readable": "cannot be read",
        "timer_is_active": "disabled",
    },
    f"chmod 644 {SECRETS}/webhook": {"secrets_are_roots_alone": "mode 0644"},
    f"mv {WATCHED} /root; systemctl start bramble-metrics || true": {
        "last_run_succeeded": "bramble-metrics.service: exit-code",
        "files_are_as_written": "watched.json is not there",
    },
}


@pytest.mark.thorough
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_the_next_deploy_mends_it(fleet, on, fault):
    on(fault)
    found = fleet.found()
    for check, words in FAULTS[fault].items():
        result = found[f"monitoring.{check}"]
        assert result["status"] == "fail", result
        assert words in result["got"]
    assert fleet.deploy() != []
    assert statuses(fleet) == WELL
    assert fleet.deploy() == []


def test_a_change_is_told_once_and_so_is_its_end(fleet, on, receiver):
    def twice():
        before = len(receiver.got)
        for _ in range(2):
            on(WATCH)
        return receiver.got[before:]

    twice()
    on(f"echo '# mine' >>{MANAGED}")
    ((method, path, _, body),) = twice()
    assert (method, path) == ("POST", f"/{CANARY}")
    message = json.loads(body)
    assert (message["host"], message["well"]) == (NODE, False)
    assert "bramble-metrics.timer" in message["text"]
    assert twice() == []
    on(f"sed -i '/# mine/d' {MANAGED}; systemctl daemon-reload")
    ((_, _, _, body),) = twice()
    assert json.loads(body)["well"] is True


@pytest.mark.thorough
def test_a_receiver_that_is_away_is_warned_of_and_told_later(fleet, on, receiver):
    receiver.codes[:] = [503] * 6
    on(f"echo '# mine' >>{MANAGED}; {WATCH}; {WATCH}")
    on("systemctl start bramble-push || true")
    found = fleet.found()["monitoring.people_were_told"]
    assert (found["status"], found["got"]) == ("warn", "bramble-push.service: exit-code")
    receiver.codes.clear()
    on(f"sed -i '/# mine/d' {MANAGED}; systemctl daemon-reload; {WATCH}; {WATCH}")
    on("systemctl start bramble-push")
    assert fleet.found()["monitoring.people_were_told"]["status"] == "pass"


@pytest.mark.fault("F28")
def test_the_secret_is_where_it_is_used_and_nowhere_else(fleet, on, record_property):
    assert on(f"stat -c '%a %U' {SECRETS}/webhook") == "600 root"
    here = [("here", path) for path in files_with(CANARY, fleet.folder)]
    found = {*fleet.watch.found, *on_node(on, CANARY), *here}
    # While it is told people, the unit has a copy in memory, which it and root may read.
    used = "/run/credentials/bramble-push.service/webhook"
    leaks = found - {("node", f"{SECRETS}/webhook"), ("node", used)}
    record_property("leaked_secrets", len(leaks))
    assert leaks == set()
    assert CANARY not in fleet.said
    assert fleet.watch.looks > 10


def test_a_run_without_the_secret_keeps_the_nodes(fleet):
    address, fleet.address = fleet.address, ""
    try:
        assert fleet.deploy() == [], fleet.said
        assert f"the variable {VARIABLE} is not set or empty" in fleet.said
        assert statuses(fleet) == WELL
    finally:
        fleet.address = address


@pytest.mark.thorough
def test_the_node_watches_itself_again_after_a_reboot(fleet, virtual_pis, on):
    virtual_pis.reboot(NODE)
    on(f"until test -s {TEXTFILE} && {ASK} >/dev/null; do sleep 0.5; done")
    assert fleet.deploy() == []


@pytest.mark.thorough
def test_promtool_takes_the_figures_the_rules_the_dashboards_queries_and_the_targets(
    prometheus, fleet, virtual_pis, on, tmp_path
):
    assert promtool(virtual_pis, f"check metrics <{TEXTFILE}", empty="") == ""
    found = formats.written("prometheus", Checked("verify", 1_796_083_200, RESULTS))
    assert promtool(virtual_pis, "check metrics <verified.yml", verified_yml=found) == ""
    rules = fleet.bramble("monitoring", "rules").stdout
    cases = (ROOT / "tests/prometheus/rules_test.yml").read_text()
    assert "SUCCESS" in promtool(virtual_pis, "check rules rules.yml", rules_yml=rules)
    assert "SUCCESS" in promtool(virtual_pis, "test rules rules_test.yml", rules_test_yml=cases)
    broken = rules.replace("bramble_server_up == 0", "bramble_server_up == 7")
    with pytest.raises(AssertionError, match="FAILED"):
        promtool(virtual_pis, "test rules rules_test.yml", rules_yml=broken)
    queries = [
        {"record": f"toy:{panel['id']}:{target['refId']}", "expr": target["expr"]}
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    ]
    drawn = yaml.safe_dump({"groups": [{"name": "toy", "rules": queries}]})
    said = promtool(virtual_pis, "check rules drawn.yml", drawn_yml=drawn)
    assert f"{len(queries)} rules found" in said
    fleet.wants(**SETTINGS, host=address_of(NODE))
    targets = fleet.bramble("monitoring", "scrape").stdout.partition("# Made")[2]
    fleet.wants(**SETTINGS)
    said = promtool(virtual_pis, "check config prometheus.yml", prometheus_yml=f"# Made{targets}")
    assert "SUCCESS" in said


def test_an_address_of_the_network_is_told_there_and_not_on_the_loopback(fleet, on):
    fleet.wants(**SETTINGS, host=address_of(NODE))
    assert "Run the exporter" in fleet.deploy()
    outside = ["curl", "-sf", "-m", "5", f"http://{address_of(NODE)}:9100/metrics"]
    told = subprocess.run(outside, capture_output=True, text=True, check=True).stdout
    assert "bramble_run_timestamp_seconds" in told
    assert on(f"{ASK} || echo refused") == "refused"
    fleet.wants(**SETTINGS)
    fleet.deploy()


def test_what_is_taken_back_leaves_nothing_that_listens_runs_or_is_secret(fleet, on):
    done = fleet.bramble("revert", "monitoring", NODE)
    assert done.returncode == 0, done.stdout
    assert on("ss -Hltn 'sport = :9100'") == ""
    assert (
        on(f"systemctl is-enabled {EXPORTER} bramble-metrics.timer 2>&1; true").count("enabled")
        == 0
    )
    assert on(f"find /etc/bramble /usr/local/lib/bramble {DROP_IN} -type f 2>/dev/null; true") == ""
    assert "nothing to revert" in fleet.bramble("revert", "monitoring", NODE).stdout
    assert "Run the exporter" in fleet.deploy()
