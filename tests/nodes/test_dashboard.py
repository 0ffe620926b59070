"""The dashboard over figures of a node that serves: each of its queries, asked of Debian's Prometheus.

Prometheus runs on the node, with the targets that `bramble monitoring scrape` makes. What a Grafana
would draw of it is not seen here.
"""

import shlex
import subprocess

import pytest
import yaml

from bramble import virtual
from bramble.monitoring.dashboard import dashboard
from bramble.virtual import lifecycle
from bramble.virtual.model import address_of
from tests.nodes import asked_dashboard
from tests.nodes.asked_dashboard import Prometheus
from tests.nodes.fleet import Lasting, wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.thorough]

NODE = "vpi-88"
PORT, LAN, GATEWAY = 9090, 8081, 8082
VARIABLE = "BRAMBLE_TEST_GATEWAY_KEY"
UNIT = "toy-prometheus"
FOLDER = "/var/lib/toy-prometheus"
INSTALL = (
    "ln -sf /dev/null /etc/systemd/system/prometheus.service; "
    "DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends prometheus; "
    f"install -d -o prometheus {FOLDER}"
)
RUN = (
    f"systemd-run -q --unit={UNIT} -p User=prometheus prometheus "
    f"--config.file=/etc/toy-prometheus.yml --storage.tsdb.path={FOLDER} "
    f"--web.listen-address={address_of(NODE)}:{PORT}"
)
WATCH = "systemctl start bramble-metrics"
DASHBOARD = dashboard()
QUERIES = [*asked_dashboard.queries(DASHBOARD)]
# A kernel that tells no pressure has these series not.
PRESSURE = "Waiting for memory, the disk and the processor"
STATS = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "stat"]


@pytest.fixture(scope="module")
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture(scope="module")
def prometheus(virtual_pis, on, tmp_path_factory):
    """A Prometheus with figures of a node that serves, which has looked at itself."""
    virtual_pis.up(NODE)
    fleet = Lasting(tmp_path_factory.mktemp("fleet"))
    # The way in and a gateway have panels too.
    own = {
        "node": {"roles": ["base", "engine", "model", "serving", "gateway", "monitoring"]},
        "serving": {"expose": "lan"},
        "gateway": {"secrets": {"node_key": {"environment": VARIABLE}}},
        "monitoring": {"host": address_of(NODE), "every_s": 900},
    }
    fleet.write([NODE], {NODE: own})
    fleet.key("create", "laptop")
    done = fleet.bramble("up", NODE, **{VARIABLE: fleet.key("create", "gateway")})
    assert done.returncode == 0, done.stdout
    on(INSTALL)
    # What is not YAML is told on standard error, before it.
    said = fleet.bramble("monitoring", "scrape").stdout
    config = yaml.safe_load(said[said.index("# Made") :])
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    write("/etc/toy-prometheus.yml", yaml.safe_dump(config))
    on(f"{WATCH}; {RUN}")
    found = Prometheus(f"http://{address_of(NODE)}:{PORT}")
    wait_until(lambda: scraped(found), 120, "a look at the node's figures")
    # A rate wants a request after the first look: one without a key, as the answer is the same.
    for port in (LAN, GATEWAY):
        on(f"curl -sS -o {FOLDER}/answer http://{address_of(NODE)}:{port}/v1/models")
    on(WATCH)
    for name in ("edge", "gateway"):
        rate = f"rate(bramble_{name}_requests_total[5m]) > 0"
        wait_until(lambda r=rate: found.get("query", query=r)["result"], 120, "a rate of answers")
    return found


def write(path, text):
    """Write a file of the node."""
    argv = virtual.ssh_argv(lifecycle.running(NODE), f"sudo tee {path}")
    subprocess.run(argv, input=text.encode(), stdout=subprocess.DEVNULL, check=True, timeout=60)


def scraped(prometheus):
    """Whether the node was asked often enough for a rate."""
    try:
        counted = prometheus.get("query", query='count_over_time(up{job="bramble"}[5m])')
    except OSError:
        return False
    return any(float(one["value"][1]) > 2 for one in counted["result"])


@pytest.fixture
def chosen(prometheus):
    """All nodes, as Grafana writes the variable."""
    return prometheus.all_of(asked_dashboard.variable(DASHBOARD, "instance"))


def test_the_variable_finds_the_node_by_its_name_in_the_inventory(chosen):
    assert chosen == f"({NODE})"


@pytest.mark.parametrize(
    ("title", "unit", "target"), QUERIES, ids=[f"{t}, {q['refId']}" for t, _, q in QUERIES]
)
def test_each_query_gives_what_its_panel_can_draw(prometheus, chosen, on, title, unit, target):
    if title == PRESSURE and on("test -r /proc/pressure/memory && echo told || true") != "told":
        pytest.skip("the kernel of this computer tells no pressure")
    found = prometheus.drawn(target, chosen)
    assert asked_dashboard.problems(unit, target, found) == []


def stats(prometheus, chosen):
    """What the figures above the lines say."""
    return {
        title: prometheus.drawn(target, chosen)[0].values[0]
        for title, _, target in QUERIES
        if title in STATS
    }


def test_a_node_that_is_well_has_nothing_above_the_lines(prometheus, chosen):
    assert stats(prometheus, chosen) == dict.fromkeys(STATS, 0)


# What makes each of them rise, and what ends that.
ILL = {
    "Nodes that tell nothing": (
        "systemctl stop prometheus-node-exporter",
        "systemctl start prometheus-node-exporter",
    ),
    "Servers that are not healthy": (
        f"systemctl stop llama-server; {WATCH} || true",
        "systemctl start llama-server; "
        f"until curl -sf 127.0.0.1:8080/health && curl -sf 127.0.0.1:{GATEWAY}/health; "
        f"do sleep 0.2; done; {WATCH}",
    ),
    "Checks that fail": (
        f"echo '# mine' >>/etc/systemd/system/llama-server.service; {WATCH} || true",
        f"sed -i '/# mine/d' /etc/systemd/system/llama-server.service; {WATCH}",
    ),
    "Nodes that are held back": (
        "cd /usr/lib/virtual-pi/current/vcgencmd; cp get_throttled /root; "
        f"echo throttled=0x4 >get_throttled; {WATCH} || true",
        f"cp /root/get_throttled /usr/lib/virtual-pi/current/vcgencmd; {WATCH}",
    ),
}


@pytest.mark.parametrize("title", STATS)
def test_what_is_wrong_is_counted_and_its_end_too(prometheus, chosen, on, title):
    wrong, mended = ILL[title]
    on(wrong)
    wait_until(lambda: stats(prometheus, chosen)[title] == 1, 60, f"{title}: 1")
    on(mended)
    wait_until(lambda: stats(prometheus, chosen)[title] == 0, 60, f"{title}: 0")
