"""A gateway before two virtual Pis that drains who answers wrongly, and whom a deploy restarts.

The hosts pass through these tests in their order.
"""

import json
import shlex
import signal
import threading
import time

import openai
import pytest

from bramble.virtual.model import address_of
from tests.nodes.fleet import Lasting, wait_until
from tests.nodes.leaks import canary

pytestmark = pytest.mark.nodes

GATEWAY, FIRST, SECOND = "vpi-201", "vpi-202", "vpi-203"
NODES = (FIRST, SECOND)
MODEL = "bramble-demo-q8_0"
VARIABLE = "BRAMBLE_TEST_GATEWAY_DRAIN_KEY"
KEY = canary("brk_")
ASK, NOTES = "bramble-questions.service", "/var/lib/bramble-gateway/drained.json"
EDGE = "/etc/bramble/edge/haproxy.cfg"
# As HAProxy's configuration has it, behind sed.
FIVE = r'{\\"choices\\":[{\\"message\\":{\\"content\\":\\"5\\"}}]}'
# The model's own list and health stay as they are.
WRONG = (
    f"cp -p {EDGE} /root/right; sed -i 's|^    default_backend llama|    http-request return status 200 "
    f"content-type application/json string {FIVE} if {{ method POST }}\\n&|' {EDGE}; "
    "systemctl reload bramble-edge"
)
RIGHT = f"mv /root/right {EDGE}; systemctl reload bramble-edge"


class Behind(Lasting):
    """Two nodes that serve the demo model, and a gateway before them."""

    def wants(self, **serving):
        """What the nodes are to have besides."""
        serves = {"expose": "lan", "expect": "4", "edge": {"requests_per_minute": 100_000}}
        node = {
            "node": {"roles": ["base", "engine", "model", "serving", "firewall"]},
            "serving": {**serves, **serving},
        }
        gateway = {
            "node": {"roles": ["base", "gateway", "firewall"]},
            "gateway": {
                "requests_per_minute": 100_000,
                "at_once": 100,
                "answers": {"every_s": 3600},
                "secrets": {"node_key": {"environment": VARIABLE}},
            },
        }
        self.write([*NODES, GATEWAY], {**dict.fromkeys(NODES, node), GATEWAY: gateway})

    def up(self, *hosts):
        done = self.bramble("up", *hosts, **{VARIABLE: KEY})
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    names = (GATEWAY, *NODES)
    virtual_pis.up(GATEWAY, FIRST)
    fleet = Behind(tmp_path_factory.mktemp("fleet"))
    fleet.wants()
    fleet.key("create", "gateway", "--from-env", VARIABLE, **{VARIABLE: KEY})
    fleet.laptop = fleet.key("create", "laptop")
    fleet.up(FIRST)
    virtual_pis.up(SECOND, clone_of=FIRST)
    fleet.up(SECOND)
    fleet.up(GATEWAY)
    yield fleet
    virtual_pis.down(*names)


@pytest.fixture(scope="module")
def on(virtual_pis):
    """A command on a host as root: on(command) is what it printed."""

    def run(command, host=GATEWAY):
        return virtual_pis.said(host, f"sudo sh -c {shlex.quote(command)}")

    return run


def client(fleet):
    return openai.OpenAI(
        base_url=f"http://{address_of(GATEWAY)}:8082/v1", api_key=fleet.laptop, max_retries=0
    )


def answering(fleet, count=6):
    """The nodes that answer clients."""
    create = client(fleet).chat.completions.with_raw_response.create
    asked = (
        create(model=MODEL, messages=[{"role": "user", "content": f"{n}+{n}?"}], max_tokens=2)
        for n in range(count)
    )
    return {one.headers["x-bramble-node"] for one in asked}


def judged(fleet):
    """What the check says of who is drained."""
    _, results = fleet.verify(GATEWAY)
    found = results[GATEWAY, "gateway.nodes_answer"]
    return found["status"], found["got"]


def test_nodes_that_answer_as_is_expected_are_in(fleet, on):
    assert judged(fleet) == ("pass", f"right: {FIRST}, {SECOND}")
    on(f"systemd-analyze security --threshold=5 {ASK}")
    assert on("stat -c '%a %U' /run/bramble-gateway/admin.sock") == "600 haproxy"


def test_a_node_that_answers_wrongly_is_drained_also_over_a_reload_and_comes_back(fleet, on):
    on(WRONG, SECOND)
    on(f"systemctl start {ASK}")
    status, got = judged(fleet)
    assert status == "warn"
    assert got.startswith(f"{SECOND} (pool1) since 20")
    assert got.endswith(
        "it answered '5' to 'What is 2+2?', wanted an answer with '4' (serving.expect)"
    )
    assert answering(fleet) == {FIRST}
    on("systemctl reload bramble-gateway")
    assert answering(fleet) == {FIRST}
    on(RIGHT, SECOND)
    on(f"systemctl start {ASK}")
    assert judged(fleet)[0] == "pass"
    assert answering(fleet, 12) == {*NODES}


class Meanwhile:
    """Clients that ask without a stream while something happens; `outcomes` is what they got."""

    def __init__(self, fleet, clients=3):
        self.fleet, self.over, self.outcomes = fleet, threading.Event(), []
        self.threads = [threading.Thread(target=self.ask_on, args=(n,)) for n in range(clients)]

    def ask_on(self, number):
        create, turn = client(self.fleet).chat.completions.create, 0
        while not self.over.is_set():
            turn += 1
            messages = [{"role": "user", "content": f"What is {number}+{turn}?"}]
            try:
                create(model=MODEL, messages=messages, max_tokens=8)
                self.outcomes.append("200")
            except openai.APIError as error:
                self.outcomes.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: len(self.outcomes) >= 6, 300, "answers")
        return self

    def __exit__(self, *error):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_a_deploy_restarts_the_nodes_in_turn_and_no_request_fails(fleet, on):
    fleet.wants(ctx_tokens=1024)
    before = {name: on("systemctl show -p MainPID --value llama-server", name) for name in NODES}
    with Meanwhile(fleet) as asked:
        said = fleet.up(*NODES)
    assert set(asked.outcomes) == {"200"}
    after = {name: on("systemctl show -p MainPID --value llama-server", name) for name in NODES}
    assert all(before[name] != after[name] for name in NODES)
    assert said.count(f"back in the gateway {GATEWAY}") == 2, said
    assert f"is out of the gateway {GATEWAY}" in said, said
    assert "is the last node" not in said
    assert json.loads(on(f"cat {NOTES}")) == {"wrong": {}, "leases": {}}


def test_a_laptop_that_vanishes_leaves_a_node_out_until_its_lease_is_over(fleet, on):
    process = fleet.start_pyinfra("restart", "-y", "--limit", FIRST)
    try:
        leased = f'"{FIRST}"'
        wait_until(lambda: leased in on(f"cat {NOTES}"), 120, "the lease")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    on(f"systemctl start {ASK}")
    status, got = judged(fleet)
    assert (status, "takes it out: Restart the service" in got) == ("warn", True), got
    assert answering(fleet) == {SECOND}
    on(f'sed -i \'s/"until_s": [0-9.]*/"until_s": {time.time() - 1}/\' {NOTES}')

    def back():
        on(f"systemctl start {ASK}")
        return json.loads(on(f"cat {NOTES}"))["leases"] == {}

    wait_until(back, 120, "the node is back")
    assert judged(fleet)[0] == "pass"


def test_a_timer_that_was_stopped_is_found_and_mended(fleet, on):
    on("systemctl disable --now bramble-questions.timer")
    code, results = fleet.verify(GATEWAY)
    assert (code, results[GATEWAY, "gateway.asks_for_known_answers"]["status"]) == (1, "fail")
    fleet.up(GATEWAY)
    code, results = fleet.verify(GATEWAY)
    assert (code, results[GATEWAY, "gateway.asks_for_known_answers"]["status"]) == (0, "pass")


def test_a_revert_leaves_no_timer_and_no_note(fleet, on):
    done = fleet.bramble("revert", "gateway", GATEWAY)
    assert done.returncode == 0, done.stdout
    assert on("systemctl show -p LoadState --value bramble-questions.timer") == "not-found"
    assert on("ls -A /var/lib/bramble-gateway") == ""
