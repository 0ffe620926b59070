"""Clients of a gateway on virtual Pis: what each may ask for, and what is told of it afterwards.

Two nodes serve a model each. The hosts pass through these tests in their order.
"""

import hashlib
import shlex
from collections import Counter

import openai
import pytest

from bramble.virtual.model import address_of
from tests.nodes.fleet import ROOT, Lasting, as_json, wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.thorough]

GATEWAY, SMALL, LARGE = "vpi-208", "vpi-209", "vpi-210"
MODELS = {SMALL: "bramble-demo-q8_0", LARGE: "bramble-demo-f16"}
ALIAS = "gpt-4o-mini"
VARIABLE = "BRAMBLE_TEST_GATEWAY_KEY"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]
UNIT = "bramble-gateway.service"
WATCHED, WATCH = "monitoring.gateway_is_watched", "systemctl start bramble-metrics"

# By the timer, which begins after the gateway.
ASKED_ONCE = (
    '[ -z "$(systemctl show -p LastTriggerUSec --value bramble-questions.timer)" ] || '
    "systemctl show -p ActiveState --value bramble-questions.service"
)


class Led(Lasting):
    """Two nodes of one slot, each with a model of its own, and a gateway that watches itself."""

    def wants(self):
        content = (ROOT / "models" / f"{MODELS[LARGE]}.gguf").read_bytes()
        other = {
            "name": MODELS[LARGE],
            "path": str(ROOT / "models" / f"{MODELS[LARGE]}.gguf"),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        # Nobody gets past the gateway.
        edge = {"requests_per_minute": 100_000, "allow": [address_of(GATEWAY)]}
        serving = {"expose": "lan", "edge": edge}
        roles = {"roles": ["base", "engine", "model", "serving"]}
        hosts = {
            SMALL: {"node": roles, "serving": serving},
            LARGE: {"node": roles, "serving": serving, "model": other},
            GATEWAY: {
                "node": {"roles": ["base", "gateway", "monitoring"]},
                "monitoring": {},
                "gateway": {
                    "aliases": {ALIAS: MODELS[SMALL]},
                    "clients": {
                        "guest": {"models": [MODELS[SMALL]]},
                        "nightly": {"priority": "batch", "queue": 1},
                    },
                    # Once at its start, and not while tokens are counted.
                    "answers": {"every_s": 86400},
                    "secrets": {"node_key": {"environment": VARIABLE}},
                },
            },
        }
        self.write([*MODELS, GATEWAY], hosts)

    def up(self, *hosts):
        done = self.bramble("up", *hosts, **{VARIABLE: self.node_key})
        assert done.returncode == 0, done.stdout

    def usage(self, by, *hosts):
        """The sums of an hour, by their names."""
        words = ("usage", *(hosts or (GATEWAY, *MODELS)), "--since", "1h", "--by", by, "--json")
        done = self.bramble(*words)
        assert done.returncode == 0, done.stdout
        found = as_json(done)
        return {one["name"]: one for one in found["rows"]}, found["total"]

    def status(self):
        """The gateway's state, and whether the command takes all for well."""
        done = self.bramble("status", GATEWAY, "--json")
        return as_json(done)["hosts"][0], done.returncode


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    names = (*MODELS, GATEWAY)
    virtual_pis.up(*names)
    fleet = Led(tmp_path_factory.mktemp("fleet"))
    # Nobody is named in an inventory before there is a key for it.
    fleet.node_key = fleet.key("create", "gateway")
    fleet.keys = {name: fleet.key("create", name) for name in ("laptop", "guest", "nightly")}
    fleet.wants()
    fleet.up(*MODELS)
    fleet.up(GATEWAY)
    yield fleet
    virtual_pis.down(*names)


@pytest.fixture(scope="module")
def on(virtual_pis):
    """A command on a host as root: on(command) is what it printed."""

    def run(command, host=GATEWAY):
        return virtual_pis.said(host, f"sudo sh -c {shlex.quote(command)}")

    return run


@pytest.fixture(scope="module")
def asked(fleet, on):
    """What clients asked, and what they got: requests by client and node, tokens by node."""
    wait_until(lambda: on(ASKED_ONCE) == "inactive", 120, "the known answers have been asked for")
    before = {node: fleet.usage("node")[0].get(node, {}) for node in MODELS}
    fleet.known = fleet.usage("client", *MODELS)[0].get("gateway", {}).get("requests", 0)
    requests, refused, tokens = Counter(), Counter(), Counter()
    plan = [
        *(("laptop", model) for model in (*MODELS.values(), ALIAS, "no-such")),
        *(("guest", model) for model in (MODELS[SMALL], MODELS[LARGE], ALIAS, MODELS[SMALL])),
        *[("nightly", MODELS[LARGE])] * 2,
    ]
    outcomes = []
    for client, model in plan:
        requests[client] += 1
        try:
            whole = using(fleet, client).chat.completions.with_raw_response.create(
                model=model, messages=QUESTION, max_tokens=6
            )
        except openai.APIStatusError as error:
            refused[client] += 1
            outcomes.append((client, model, error.status_code))
            continue
        node = whole.headers["x-bramble-node"]
        requests[node] += 1
        tokens[node] += whole.parse().usage.completion_tokens
        outcomes.append((client, model, 200))
    fleet.before, fleet.outcomes = before, outcomes
    fleet.requests, fleet.refused, fleet.tokens = requests, refused, tokens
    return fleet


def using(fleet, client):
    """The official client, which asks once."""
    base = f"http://{address_of(GATEWAY)}:8082/v1"
    return openai.OpenAI(base_url=base, api_key=fleet.keys[client], max_retries=0)


def test_each_client_gets_its_models_and_sees_no_others(asked):
    assert [one.id for one in using(asked, "laptop").models.list()] == [*MODELS.values(), ALIAS]
    got = [status for *_, status in asked.outcomes]
    assert got == [200, 200, 200, 404, 200, 403, 200, 200, 200, 200]
    assert [one.id for one in using(asked, "guest").models.list()] == [MODELS[SMALL], ALIAS]


def test_the_sums_are_what_was_asked(asked):
    """Its list of models is no request to a model; what the deploys asked is no client's."""
    rows, total = asked.usage("client")
    found = {name: (one["requests"], one["refused"], one["failed"]) for name, one in rows.items()}
    wanted = {
        name: (asked.requests[name], asked.refused[name], 0)
        for name in ("laptop", "guest", "nightly")
    }
    assert found == wanted
    assert total["requests"] == len(asked.outcomes)
    assert all(one["tokens_out"] is None for one in rows.values())
    assert all(one["work_s"] > 0 and one["bytes_in"] > 0 for one in rows.values())
    rows, _ = asked.usage("node")
    for node in MODELS:
        assert rows[node]["requests"] == asked.requests[node]
        written = rows[node]["tokens_out"] - (asked.before[node].get("tokens_out") or 0)
        assert written == asked.tokens[node]
    assert rows["(none)"]["requests"] == asked.refused.total()
    rows, _ = asked.usage("model", GATEWAY)
    assert rows[ALIAS]["requests"] == 2


def test_nodes_alone_tell_what_the_gateway_asked_of_them(asked):
    rows, _ = asked.usage("client", *MODELS)
    answered = len([one for one in asked.outcomes if one[2] == 200])
    # It asks them known answers besides.
    assert rows["gateway"]["requests"] == asked.known + answered


def test_each_request_is_a_line_of_the_gateways_log(asked):
    done = asked.bramble("logs", GATEWAY)
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if " POST " in line]
    assert len(lines) == len(asked.outcomes)
    for line, (client, model, status) in zip(lines, asked.outcomes, strict=True):
        assert f" gateway: {client} from " in line
        assert f": {status} in " in line
        if status == 200:
            assert f" for {model} by vpi-2" in line
            assert "first byte after " in line
        else:
            assert "by no node: " in line
    assert "2+2" not in done.stdout


def test_the_status_has_each_node_with_its_slots_and_who_is_down(asked, on):
    found, code = asked.status()
    assert (found["state"], code) == ("healthy", 0)
    pools = {pool["models"][0]: pool for pool in found["gateway"]}
    for node, model in MODELS.items():
        (one,) = pools[model]["nodes"]
        assert one == {"host": node, "state": "up", "busy": 0, "slots": 1}
        assert (pools[model]["waiting"], pools[model]["queue"]) == (0, 32)
    on("systemctl stop bramble-edge", LARGE)
    try:
        wait_until(lambda: asked.status()[0]["state"] == "unwell", 60, "a node that is down")
        found, code = asked.status()
        assert (found["why"], code) == (f"no node is up for {MODELS[LARGE]}", 1)
        said = asked.bramble("status", GATEWAY).stdout
        assert "nothing listens there" in said
    finally:
        on("systemctl start bramble-edge", LARGE)
    wait_until(lambda: asked.status()[0]["state"] == "healthy", 60, "a node that is back")


def test_a_fault_of_the_gateway_is_in_the_hosts_own_figures_and_is_mended(asked, on):
    on(WATCH)
    code, results = asked.verify(GATEWAY)
    assert (code, results[GATEWAY, WATCHED]["status"]) == (0, "pass")
    figures = on("cat /run/bramble-metrics/bramble.prom")
    for node, model in MODELS.items():
        assert f'bramble_gateway_node_up{{models="{model}",node="{node}"}} 1' in figures
        assert f'bramble_gateway_model_nodes{{model="{model}"}} 1' in figures
    on(f"systemctl stop {UNIT}; {WATCH}")
    code, results = asked.verify(GATEWAY)
    assert (code, results[GATEWAY, WATCHED]["status"]) == (1, "fail")
    asked.up(GATEWAY)
    on(WATCH)
    code, results = asked.verify(GATEWAY)
    assert (code, results[GATEWAY, WATCHED]["status"]) == (0, "pass")
