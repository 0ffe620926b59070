"""Clients of the network on a virtual Pi: who gets in, by which key, how, and who does not.

One node passes through the exposures in the order of these tests: local, lan, tls, local again.
"""

import concurrent.futures
import hashlib
import json
import shlex
import socket
import ssl
import threading
import time
from itertools import count

import openai
import pytest

from bramble.virtual.model import address_of
from tests.nodes.fleet import Lasting, wait_until

pytestmark = pytest.mark.nodes

NODE = "vpi-81"
HERE = address_of(NODE)
LAN, TLS = 8081, 8443
MODEL = "bramble-demo-q8_0"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]
EDGE, FOLDER = "bramble-edge.service", "/etc/bramble/edge"
CHECKS = (
    "serving.edge_is_as_exposed",
    "serving.edge_answers_as_planned",
    "serving.edge_asks_for_a_key",
    "serving.edge_is_bound_as_planned",
    "serving.edge_is_held_by_its_sandbox",
)


class Exposed(Lasting):
    """A node that serves the demo model, exposed as told."""

    def wants(self, expose, firewall="fence", **edge):
        self.write(
            [NODE],
            {
                NODE: {
                    "node": {"roles": ["base", "engine", "model", "serving", "firewall"]},
                    "firewall": {"mode": firewall},
                    "serving": {
                        "expose": expose,
                        "edge": {"requests_per_minute": 100_000} | edge,
                    },
                }
            },
        )

    def up(self, code=0):
        done = self.bramble("up", NODE)
        assert done.returncode == code, done.stdout
        return done.stdout

    @staticmethod
    def rules(on):
        """The firewall's table as the kernel has it."""
        return on("nft list table inet bramble")

    @property
    def authority(self):
        return self.folder / "tls" / "ca.crt"


@pytest.fixture(scope="module")
def fleet(virtual_pis, tmp_path_factory):
    virtual_pis.up(NODE)
    fleet = Exposed(tmp_path_factory.mktemp("fleet"))
    fleet.wants("local")
    fleet.up()
    yield fleet
    virtual_pis.down(NODE)


@pytest.fixture(scope="module")
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture(scope="module")
def exposed(fleet):
    """The node with `lan`, and a client's key."""
    fleet.wants("lan")
    fleet.laptop = fleet.key("create", "laptop")
    fleet.up()
    return fleet


@pytest.fixture(scope="module")
def sealed(exposed):
    """The same node with `tls`."""
    done = exposed.bramble("tls", "issue", NODE)
    assert done.returncode == 0, done.stdout
    exposed.wants("tls")
    exposed.up()
    return exposed


def listens(port):
    """Whether anything takes a connection there, from this computer."""
    try:
        socket.create_connection((HERE, port), 3).close()
    except OSError:
        return False
    return True


def client(fleet, port=LAN, key=None):
    """The official client, as its users make one."""
    if port == LAN:
        return openai.OpenAI(base_url=f"http://{HERE}:{LAN}/v1", api_key=key or fleet.laptop)
    context = ssl.create_default_context(cafile=str(fleet.authority))
    return openai.OpenAI(
        base_url=f"https://{HERE}:{TLS}/v1",
        api_key=key or fleet.laptop,
        http_client=openai.DefaultHttpxClient(verify=context),
    )


def said_to(request, port=LAN, wait_s=30):
    """The status of the answer to raw bytes; None where the connection just ends."""
    with socket.create_connection((HERE, port), wait_s) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            words = answer.readline().split()
    return int(words[1]) if len(words) > 1 else None


def head(method="POST", path="/v1/chat/completions", key=None, **more):
    """A request's head."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chat(body, key, **more):
    """A whole request of the chat."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(key=key, **{"Content-Length": len(content), **more}) + content


def test_local_takes_no_connection_of_the_network_and_has_no_way_in(fleet, on):
    assert not any(listens(port) for port in (8080, LAN, TLS))
    assert on(f"systemctl show -p LoadState --value {EDGE}") == "not-found"


def test_an_exposure_without_a_key_is_refused_before_anything_is_done(fleet, on):
    fleet.wants("lan")
    done = fleet.bramble("up", NODE)
    assert done.returncode == 1
    assert "no client has a key; run `bramble key create NAME`" in done.stdout
    assert not listens(LAN)
    assert on(f"ls {FOLDER} 2>/dev/null || true") == ""


def test_lan_lets_the_official_client_chat_stream_and_list(exposed):
    using = client(exposed)
    assert [model.id for model in using.models.list()] == [MODEL]
    whole = using.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    assert "4" in whole.choices[0].message.content
    parts = using.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, stream=True
    )
    words = [part.choices[0].delta.content or "" for part in parts if part.choices]
    assert len(words) > 2
    assert "".join(words) == whole.choices[0].message.content


def test_an_answer_can_be_held_to_a_schema(exposed):
    schema = {
        "type": "object",
        "properties": {"sum": {"type": "integer"}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}
    whole = client(exposed).chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, max_tokens=400, response_format=form
    )
    found = json.loads(whole.choices[0].message.content)
    assert [*found] == ["sum"]
    assert isinstance(found["sum"], int)


def test_its_checks_pass_and_a_second_run_changes_nothing(exposed):
    code, results = exposed.verify(NODE)
    assert {results[NODE, name]["status"] for name in CHECKS} == {"pass"}
    assert code == 0, results
    assert f"{NODE}: no changes; " in exposed.up()


def test_both_units_are_as_confined_as_the_docs_say(exposed, on):
    for unit in (EDGE, "llama-server.service"):
        on(f"systemd-analyze security --threshold=10 {unit}")


STRANGERS = {
    "no key": (lambda key: chat({"messages": QUESTION}, None), 401),
    "a wrong key": (lambda key: chat({"messages": QUESTION}, "brk_wrong"), 401),
    "a key cut short": (lambda key: chat({"messages": QUESTION}, key[:-1]), 401),
    "a hash in the place of its key": (
        lambda key: chat({"messages": QUESTION}, hashlib.sha256(key.encode()).hexdigest()),
        401,
    ),
    "a page of another origin": (
        lambda key: head("OPTIONS", Origin="http://evil.example", key=None),
        401,
    ),
    "slots": (lambda key: head("GET", "/slots", key), 404),
    "properties": (lambda key: head("GET", "/props", key), 404),
    "metrics": (lambda key: head("GET", "/metrics", key), 404),
    "a way around": (lambda key: head("GET", "/v1/../slots", key), 404),
    "a way around, spelt otherwise": (lambda key: head("GET", "/v1/%2e%2e/slots", key), 404),
    "llama.cpp's own completion": (lambda key: head("POST", "/completion", key), 404),
    "another method": (lambda key: head("DELETE", "/v1/models", key), 404),
    "no JSON": (lambda key: chat(b'{"messages": [', key), 400),
    "JSON that asks nothing": (lambda key: chat({"model": "x"}, key), 400),
    "100 MB": (lambda key: head(key=key, **{"Content-Length": 100_000_000}), 413),
    "no length": (
        lambda key: head(key=key, **{"Transfer-Encoding": "chunked"}) + b"2\r\n{}\r\n0\r\n\r\n",
        411,
    ),
    "two lengths": (
        lambda key: head(key=key, **{"Content-Length": "5, 6"}) + b"{}{}{}",
        400,
    ),
    "a length and chunks": (
        lambda key: (
            head(key=key, **{"Content-Length": 4, "Transfer-Encoding": "chunked"})
            + b"0\r\n\r\nGET /slots HTTP/1.1\r\nHost: x\r\n\r\n"
        ),
        411,
    ),
    "a negative length": (lambda key: head(key=key, **{"Content-Length": -1}), 400),
    "a huge head": (lambda key: head(key=key, X="a" * 100_000), 400),
    "many heads": (lambda key: head(key=key, **{f"X-{n}": n for n in range(500)}), 400),
    "no HTTP": (lambda key: b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n", 400),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_stranger_is_refused_and_the_model_goes_on(exposed, what):
    request, status = STRANGERS[what]
    assert said_to(request(exposed.laptop)) == status
    assert said_to(head("GET", "/health")) == 200


def test_a_prompt_beyond_the_context_gets_a_clear_400(exposed):
    long = [{"role": "user", "content": "two and two " * 80_000}]
    with pytest.raises(openai.BadRequestError, match="context"):
        client(exposed).chat.completions.create(model=MODEL, messages=long)


def test_what_was_refused_is_in_the_journal_and_no_word_of_a_prompt_or_key_is(exposed, on):
    canary = "a-canary-in-a-prompt-7391"
    client(exposed).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": canary}], max_tokens=2
    )
    lines = on(f"journalctl -u {EDGE} -o cat --no-pager")
    rows = [json.loads(line) for line in lines.splitlines() if line.startswith('{"client"')]
    assert {401, 404, 411, 413, 400, 200} <= {row["status"] for row in rows}
    assert {row["client"] for row in rows if row["status"] == 200} >= {"laptop"}
    whole = on("journalctl -o cat --no-pager")
    assert canary not in whole
    assert exposed.laptop not in whole


def test_a_thousand_slow_connections_keep_nobody_out(exposed):
    slow = []
    try:
        for _ in range(1000):
            try:
                connection = socket.create_connection((HERE, LAN), 5)
                connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX: ")
            except OSError:
                break
            slow.append(connection)
        assert len(slow) > 100
        # This address has all of its connections: others are not kept out, and neither is it for long.
        wait_until(lambda: answered(head("GET", "/health")) == 200, 60, "an answer of its own")
    finally:
        for connection in slow:
            connection.close()


def answered(request):
    """The status, or None where the connection is refused or ends."""
    try:
        return said_to(request)
    except OSError:
        return None


def test_more_clients_than_slots_wait_in_turn_or_are_told_to_come_back(exposed, on):
    def ask(number):
        try:
            parts = (
                client(exposed)
                .with_options(max_retries=0)
                .chat.completions.create(model=MODEL, messages=QUESTION, stream=True, temperature=0)
            )
            return "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        except openai.APIStatusError as error:
            return error

    pid = on("systemctl show -p MainPID --value llama-server")
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        waiting = [pool.submit(ask, number) for number in range(64)]
        began = time.monotonic()
        assert on("echo alive") == "alive"
        ssh_s = time.monotonic() - began
        found = [one.result() for one in waiting]
    texts = [one for one in found if isinstance(one, str)]
    assert len(texts) >= 8
    assert all("4" in text for text in texts)
    told = [one for one in found if not isinstance(one, str)]
    assert {error.status_code for error in told} <= {429, 503}
    assert all(int(error.response.headers["retry-after"]) > 0 for error in told)
    assert on("systemctl show -p MainPID --value llama-server") == pid
    assert ssh_s < 60


def test_a_client_that_leaves_frees_its_slot(exposed):
    with socket.create_connection((HERE, LAN), 30) as connection:
        body = {"messages": QUESTION, "max_tokens": 400, "stream": True, "ignore_eos": True}
        connection.sendall(chat(body, exposed.laptop))
        assert b"200" in connection.recv(100)
    whole = client(exposed).chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    assert "4" in whole.choices[0].message.content


def test_a_server_that_is_killed_is_told_as_not_ready_and_is_back(exposed, on):
    on("systemctl kill -s KILL llama-server")
    wait_until(
        lambda: answered(chat({"messages": QUESTION, "max_tokens": 2}, exposed.laptop)) == 200,
        120,
        "an answer of the next server",
    )


def test_a_rotation_drops_no_request_and_both_keys_open_until_one_is_revoked(exposed):
    statuses, ended, turn = [], threading.Event(), count()

    def ask_on():
        while not ended.is_set():
            next(turn)
            body = {"messages": QUESTION, "max_tokens": 3}
            statuses.append(answered(chat(body, exposed.laptop)))

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        second = exposed.key("rotate", "laptop")
        exposed.up()
    finally:
        ended.set()
        asking.join()
    assert len(statuses) > 3
    assert set(statuses) == {200}
    for key in (exposed.laptop, second):
        assert [model.id for model in client(exposed, key=key).models.list()] == [MODEL]
    exposed.key("revoke", "laptop", "--before")
    exposed.up()
    with pytest.raises(openai.AuthenticationError):
        client(exposed).models.list()
    exposed.laptop = second
    assert [model.id for model in client(exposed).models.list()] == [MODEL]


def test_an_address_that_is_not_allowed_is_refused_whatever_key_it_has(exposed, on):
    for firewall, status in (("off", 403), ("fence", None)):
        exposed.wants("lan", firewall, allow=["192.0.2.0/24"])
        exposed.up()
        assert answered(chat({"messages": QUESTION}, exposed.laptop)) == status
        assert answered(head("GET", "/health")) == status
        # The node itself may ask, so that its checks can.
        code, _ = exposed.verify(NODE)
        assert code == 0
    assert "bramble refused: " in exposed.rules(on)
    exposed.wants("lan")
    exposed.up()
    assert said_to(head("GET", "/health")) == 200


FAULTS = {
    "edge_is_as_exposed": f"systemctl disable --now {EDGE}",
    "edge_answers_as_planned": (
        f"sed -i \"s/string '[0-9a-f]* ok'/string '000000000000 ok'/\" {FOLDER}/haproxy.cfg; "
        f"systemctl reload {EDGE}"
    ),
    "edge_asks_for_a_key": (
        f"sed -i '/status 401/d; /set-var(txn.client)/d; /Too many wrong/d' {FOLDER}/haproxy.cfg; "
        f"systemctl reload {EDGE}"
    ),
    "edge_is_bound_as_planned": (
        f"sed -i 's/^    bind \\[::\\]:8081 v4v6/    bind 127.0.0.1:8081/' {FOLDER}/haproxy.cfg; "
        f"systemctl restart {EDGE}"
    ),
    "edge_is_held_by_its_sandbox": (
        f"sed -i 's/^ProtectHome=yes/ProtectHome=no/' /etc/systemd/system/{EDGE}; "
        f"systemctl daemon-reload; systemctl restart {EDGE}"
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_mended(exposed, on, name):
    on(FAULTS[name])
    code, results = exposed.verify(NODE)
    assert results[NODE, f"serving.{name}"]["status"] == "fail"
    assert code == 1
    exposed.up()
    code, results = exposed.verify(NODE)
    assert (code, results[NODE, f"serving.{name}"]["status"]) == (0, "pass")


def test_tls_lets_the_official_client_in_that_trusts_the_fleets_authority(sealed):
    using = client(sealed, TLS)
    assert [model.id for model in using.models.list()] == [MODEL]
    whole = using.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    assert "4" in whole.choices[0].message.content
    code, results = sealed.verify(NODE)
    assert (code, results[NODE, "serving.edge_certificate_lasts"]["status"]) == (0, "pass")
    assert not listens(LAN)


def test_who_does_not_trust_it_or_speaks_something_else_gets_nothing(sealed):
    with pytest.raises(openai.APIConnectionError):
        openai.OpenAI(
            base_url=f"https://{HERE}:{TLS}/v1", api_key=sealed.laptop, max_retries=0
        ).models.list()
    assert said_to(head("GET", "/health"), TLS) in (None, 400)


def test_the_private_key_is_for_haproxy_alone_and_in_no_report(sealed, on, virtual_pis):
    assert on(f"stat -c '%a %U %G' {FOLDER}/edge.pem") == "640 root haproxy"
    assert virtual_pis.run(NODE, f"cat {FOLDER}/edge.pem").returncode != 0
    (line, *_) = [
        line
        for line in (sealed.folder / "tls" / f"{NODE}.pem").read_text().splitlines()[::-1]
        if not line.startswith("---")
    ]
    for report in sealed.reports:
        if report.exists():
            assert line not in report.read_text()
    assert line not in on("journalctl -o cat --no-pager")


def test_local_again_closes_every_port_and_leaves_no_key_behind(sealed, on):
    sealed.wants("local")
    sealed.up()
    assert not any(listens(port) for port in (8080, LAN, TLS))
    assert on(f"ls {FOLDER} 2>/dev/null || true") == ""
    assert on(f"systemctl show -p LoadState --value {EDGE}") == "not-found"
    assert "bramble" not in on("nft list tables")
    code, _ = sealed.verify(NODE)
    assert code == 0
