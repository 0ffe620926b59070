"""A gateway before two virtual Pis: names, slots, nodes that die, and who is kept out.

The gateway's host passes through these tests in their order.
"""

import shlex
import ssl
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from bramble.virtual.model import address_of
from tests.nodes.fleet import BIN, Lasting, wait_until
from tests.nodes.leaks import Watch, canary, files_with, on_node, temporary
from tests.nodes.streams import Way, ask

pytestmark = pytest.mark.nodes

GATEWAY, SMALL, LARGE = "vpi-91", "vpi-92", "vpi-93"
"""The gateway's host, a node of one slot, and one of two."""
SLOTS = {SMALL: 1, LARGE: 2}
HERE = address_of(GATEWAY)
LAN, TLS = 8082, 8444
MODEL, ALIAS = "bramble-demo-q8_0", "gpt-4o-mini"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]
CHAT = "/v1/chat/completions"
UNIT, FOLDER = "bramble-gateway.service", "/etc/bramble/gateway"
FIGURES = "/run/bramble-gateway/figures.sock"
VARIABLE = "BRAMBLE_TEST_GATEWAY_KEY"
# Known before it is kept, so that it can be looked for from the beginning.
KEY = canary("brk_")
REQUESTS, CLIENTS = 48, 12
CHECKS = (
    "gateway.runs",
    "gateway.files_are_as_written",
    "gateway.answers_as_planned",
    "gateway.asks_for_a_key",
    "gateway.tells_its_figures",
    "gateway.is_bound_as_planned",
    "gateway.is_held_by_its_sandbox",
    "gateway.key_is_the_services_alone",
    "gateway.models_have_a_node",
    "gateway.nodes_are_up",
    "gateway.debians_haproxy_is_off",
)


class Behind(Lasting):
    """Two nodes that serve the demo model, and a gateway before them."""

    def wants(self, node=None, **gateway):
        """What the nodes and the gateway are to have besides."""
        serving = {"expose": "lan", "edge": {"requests_per_minute": 100_000}} | (node or {})
        hosts = {
            name: {
                "node": {"roles": ["base", "engine", "model", "serving", "firewall"]},
                "serving": {**serving, "slots": slots},
            }
            for name, slots in SLOTS.items()
        }
        hosts[GATEWAY] = {
            "node": {"roles": ["base", "gateway", "firewall"]},
            "gateway": {
                "default_model": MODEL,
                "aliases": {ALIAS: MODEL},
                "requests_per_minute": 100_000,
                "at_once": 100,
                "queue": 100,
                "queue_s": 600,
                "secrets": {"node_key": {"environment": VARIABLE}},
                **gateway,
            },
        }
        self.write([*SLOTS, GATEWAY], hosts)

    def up(self, *hosts, code=0, key=KEY):
        given = {VARIABLE: key} if key else {}
        done = self.bramble("up", *(hosts or (GATEWAY,)), **given)
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    names = (*SLOTS, GATEWAY)
    virtual_pis.up(*names)
    fleet = Behind(tmp_path_factory.mktemp("fleet"))
    fleet.wants()
    fleet.key("create", "gateway", "--from-env", VARIABLE, **{VARIABLE: KEY})
    fleet.laptop = fleet.key("create", "laptop")
    fleet.up(*SLOTS)
    fleet.up()
    yield fleet
    virtual_pis.down(*names)


@pytest.fixture(scope="module")
def on(virtual_pis):
    """A command on a host as root: on(command) is what it printed."""

    def run(command, host=GATEWAY):
        return virtual_pis.said(host, f"sudo sh -c {shlex.quote(command)}")

    return run


def client(fleet, key=None, port=LAN):
    """The official client, which asks once."""
    scheme, http = "http", None
    if port == TLS:
        trusted = ssl.create_default_context(cafile=str(fleet.folder / "tls" / "ca.crt"))
        scheme, http = "https", openai.DefaultHttpxClient(verify=trusted)
    return openai.OpenAI(
        base_url=f"{scheme}://{HERE}:{port}/v1",
        api_key=key or fleet.laptop,
        http_client=http,
        max_retries=0,
    )


def figure(on, host, scope, line):
    """A figure of the way in, or the gateway, as the host itself reads it."""
    place = FIGURES if host == GATEWAY else "/run/bramble-edge/figures.sock"
    said = on(f"curl -sf --unix-socket {place} 'http://localhost/metrics?scope={scope}'", host)
    (found,) = [one for one in said.splitlines() if one.startswith(line)]
    return float(found.split()[-1])


def up(on):
    """The nodes that are up, as the gateway tells."""
    said = on(
        f"curl -sf --unix-socket {FIGURES} 'http://localhost/metrics?scope=server' | "
        "grep '^haproxy_server_check_status.*L7OK.* 1$' || true"
    )
    return {node for node in SLOTS if f'server="{node}"' in said}


def test_the_official_client_chats_streams_and_lists_at_one_address(fleet):
    using = client(fleet)
    assert [one.id for one in using.models.list()] == [MODEL, ALIAS]
    for name in (MODEL, ALIAS, "auto"):
        whole = using.chat.completions.create(model=name, messages=QUESTION, temperature=0)
        assert "4" in whole.choices[0].message.content
    parts = using.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, stream=True
    )
    words = [part.choices[0].delta.content or "" for part in parts if part.choices]
    assert "".join(words) == whole.choices[0].message.content


def test_its_checks_pass_and_a_second_run_changes_nothing(fleet):
    code, results = fleet.verify(GATEWAY)
    assert {results[GATEWAY, name]["status"] for name in CHECKS} == {"pass"}
    assert results[GATEWAY, "gateway.certificate_lasts"]["status"] == "skip"
    assert code == 0, results
    for key in (KEY, None):
        assert f"{GATEWAY}: no changes; " in fleet.up(key=key)


def test_its_unit_is_as_confined_as_the_docs_say(fleet, on):
    on(f"systemd-analyze security --threshold=12 {UNIT}")


def test_who_has_no_key_asks_for_no_model_or_comes_elsewhere_gets_nothing(fleet):
    for key in ("brk_wrong", KEY):
        with pytest.raises(openai.AuthenticationError):
            client(fleet, key).models.list()
    with pytest.raises(openai.NotFoundError, match="There is no such model here"):
        client(fleet).chat.completions.create(model="huge", messages=QUESTION)
    way = Way("a stranger", HERE, LAN, fleet.laptop)
    for path in ("/slots", "/props", "/metrics", "/v1/../slots", "/completion"):
        assert ask(way, {"messages": QUESTION}, path=path).status == 404


def test_no_node_has_more_than_its_slots_and_no_request_is_lost(fleet, on):
    """As each node's own way in has it: what is more than its slots would wait there."""
    ways = [Way("a crowd", HERE, LAN, fleet.laptop) for _ in range(REQUESTS)]
    using = client(fleet)

    def one(number):
        messages = [{"role": "user", "content": f"What is {number}+{number}?"}]
        asked = {"model": MODEL, "messages": messages, "max_tokens": 16}
        if number % 2:
            return ask(ways[number], asked, path=CHAT).outcome
        whole = using.chat.completions.with_raw_response.create(**asked)
        return str(whole.status_code)

    with ThreadPoolExecutor(CLIENTS) as pool:
        outcomes = Counter(pool.map(one, range(REQUESTS)))
    assert outcomes == {"200": REQUESTS}
    for node, slots in SLOTS.items():
        most = figure(on, node, "server", 'haproxy_server_max_sessions{proxy="llama"')
        waited = figure(on, node, "backend", 'haproxy_backend_max_queue{proxy="llama"')
        assert (most, waited) == (slots, 0)


def test_a_conversation_stays_with_its_node(fleet):
    """The nodes have slots free, as nobody else asks."""
    asked = {"model": MODEL, "messages": QUESTION, "max_tokens": 2}
    create = client(fleet).chat.completions.with_raw_response.create
    assert len({create(**asked).headers["x-bramble-node"] for _ in range(6)}) == 1


def asking_on(fleet, ended, outcomes):
    """Ask again and again, without a stream, until it is over."""
    create = client(fleet).chat.completions.create
    turn = 0
    while not ended.is_set():
        turn += 1
        messages = [{"role": "user", "content": f"What is {turn}+{turn}?"}]
        try:
            create(model=MODEL, messages=messages, max_tokens=8)
            outcomes.append("200")
        except openai.APIError as error:
            outcomes.append(repr(error))


class Meanwhile:
    """Clients that ask while something happens; `outcomes` is what they got."""

    def __init__(self, fleet, clients=3):
        self.ended, self.outcomes = threading.Event(), []
        words = (fleet, self.ended, self.outcomes)
        self.threads = [threading.Thread(target=asking_on, args=words) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.until_more()
        return self

    def until_more(self, count=6):
        begun = len(self.outcomes)
        wait_until(lambda: len(self.outcomes) >= begun + count, 300, "more answers")

    def __exit__(self, *error):
        self.ended.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("units", ["llama-server", "bramble-edge", "llama-server bramble-edge"])
def test_a_node_that_is_killed_costs_no_request_and_is_back(fleet, on, units):
    with Meanwhile(fleet) as asked:
        on(f"systemctl kill -s KILL {units}", LARGE)
        asked.until_more()
        wait_until(lambda: up(on) == {*SLOTS}, 300, "both nodes up")
        asked.until_more()
    assert set(asked.outcomes) == {"200"}


def test_a_node_that_is_gone_is_told_and_the_other_one_answers(fleet, on):
    on("systemctl stop bramble-edge", LARGE)
    try:
        wait_until(lambda: up(on) == {SMALL}, 60, "one node down")
        code, results = fleet.verify(GATEWAY)
        found = results[GATEWAY, "gateway.nodes_are_up"]
        assert (code, found["status"]) == (0, "warn")
        assert found["got"] == f"{LARGE}: nothing listens there"
        assert results[GATEWAY, "gateway.models_have_a_node"]["status"] == "pass"
        with Meanwhile(fleet) as asked:
            asked.until_more()
        assert set(asked.outcomes) == {"200"}
    finally:
        on("systemctl start bramble-edge", LARGE)
    wait_until(lambda: up(on) == {*SLOTS}, 60, "both nodes up")


def test_a_change_is_taken_up_without_a_lost_request(fleet, on):
    before = on(f"systemctl show -p MainPID --value {UNIT}")
    fleet.wants(queue=50)
    with Meanwhile(fleet) as asked:
        fleet.up()
        asked.until_more()
    assert set(asked.outcomes) == {"200"}
    assert on(f"systemctl show -p MainPID --value {UNIT}") == before
    assert "ge 50 }" in on(f"cat {FOLDER}/haproxy.cfg")


FAULTS = {
    "runs": f"systemctl disable --now {UNIT}",
    "files_are_as_written": f"echo '# by hand' >> {FOLDER}/models.map",
    "answers_as_planned": (
        f"sed -i \"s/string '[0-9a-f]* ok'/string '000000000000 ok'/\" {FOLDER}/haproxy.cfg; "
        f"systemctl reload {UNIT}"
    ),
    "asks_for_a_key": (
        f"sed -i '/status 401/d; /set-var(txn.client)/d; /Too many wrong/d' {FOLDER}/haproxy.cfg; "
        f"systemctl reload {UNIT}"
    ),
    "tells_its_figures": f"rm {FIGURES}",
    "is_bound_as_planned": (
        f"sed -i 's/^    bind \\[::\\]:{LAN} v4v6/    bind 127.0.0.1:{LAN}/' {FOLDER}/haproxy.cfg; "
        f"systemctl restart {UNIT}"
    ),
    "is_held_by_its_sandbox": (
        f"sed -i 's/^ProtectHome=yes/ProtectHome=no/' /etc/systemd/system/{UNIT}; "
        f"systemctl daemon-reload; systemctl restart {UNIT}"
    ),
    "key_is_the_services_alone": f"chmod 0644 {FOLDER}/nodes.map",
    "models_have_a_node": (
        f"sed -i 's/^all .*/all brk_another/' {FOLDER}/nodes.map; systemctl restart {UNIT}; "
        f"until [ $(curl -s --unix-socket {FIGURES} 'http://localhost/metrics?scope=server' | "
        "grep -c '^haproxy_server_check_status.*L7STS.* 1$') = 2 ]; do sleep 0.5; done"
    ),
    "debians_haproxy_is_off": "systemctl enable --now haproxy.service",
}
WARNS = {"debians_haproxy_is_off"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_mended(fleet, on, name):
    on(FAULTS[name])
    code, results = fleet.verify(GATEWAY)
    found = results[GATEWAY, f"gateway.{name}"]["status"]
    assert (found, code) == (("warn", 0) if name in WARNS else ("fail", 1))
    fleet.up()
    wait_until(lambda: up(on) == {*SLOTS}, 60, "both nodes up")
    code, results = fleet.verify(GATEWAY)
    assert (code, results[GATEWAY, f"gateway.{name}"]["status"]) == (0, "pass")


def test_by_tls_from_the_client_to_the_node_it_is_the_same(fleet, on):
    for name in (*SLOTS, GATEWAY):
        done = fleet.bramble("tls", "issue", name)
        assert done.returncode == 0, done.stdout
    fleet.wants(node={"expose": "tls"}, expose="tls")
    fleet.up(*SLOTS)
    fleet.up()
    using = client(fleet, port=TLS)
    assert [one.id for one in using.models.list()] == [MODEL, ALIAS]
    whole = using.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    assert "4" in whole.choices[0].message.content
    code, results = fleet.verify(GATEWAY)
    assert (code, results[GATEWAY, "gateway.certificate_lasts"]["status"]) == (0, "pass")


@pytest.mark.fault("F28")
def test_the_key_that_nodes_know_the_gateway_by_appears_nowhere(fleet, on, record_property):
    said = []
    # Who is given a secret in the environment has it there, and so has the process that does the work.
    with Watch(KEY, allowed=(BIN / "bramble", "pyinfra")) as watch:
        fleet.wants(node={"expose": "tls"}, expose="tls", queue=60)
        done = fleet.bramble("up", GATEWAY, **{VARIABLE: KEY})
        assert done.returncode == 0, done.stdout
        said.append(done.stdout)
        said += [
            fleet.bramble(*words, **{VARIABLE: KEY}).stdout
            for words in (
                ("plan", GATEWAY, "--json"),
                ("verify", GATEWAY, "--json"),
                ("config", GATEWAY),
            )
        ]
    places = {
        *on_node(on, KEY),
        *(("here", file) for file in files_with(KEY, fleet.folder, *temporary())),
        *(("output", number) for number, text in enumerate(said) if KEY in text),
    }
    for node in SLOTS:
        places |= {(node, where) for _, where in on_node(lambda c, n=node: on(c, n), KEY)}
    allowed = {("node", f"{FOLDER}/nodes.map")}
    leaks = (places - allowed) | watch.found
    record_property("leaked_secrets", len(leaks))
    assert leaks == set()
    assert places >= allowed, "it is where it is used"
    assert on(f"stat -c '%a %U %G' {FOLDER}/nodes.map") == "640 root haproxy"


def test_a_revert_closes_the_port_and_leaves_no_key_behind(fleet, on):
    done = fleet.bramble("revert", "gateway", GATEWAY)
    assert done.returncode == 0, done.stdout
    assert on(f"ls {FOLDER} 2>/dev/null || true") == ""
    assert on(f"systemctl show -p LoadState --value {UNIT}") == "not-found"
    with pytest.raises(openai.APIConnectionError):
        client(fleet, port=TLS).models.list()
