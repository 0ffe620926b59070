"""Clients of the network on a virtual Pi: who gets in, by which key, how, and who does not.

One node passes through the exposures in the order of these tests: local, lan, tls, local again.
"""

import hashlib
import json
import os
import re
import shlex
import socket
import ssl
import subprocess
import threading
from itertools import count

import gguf
import openai
import pytest

from bramble.virtual.model import address_of
from tests.nodes import crowd
from tests.nodes.fleet import BIN, ROOT, Lasting, wait_until
from tests.nodes.leaks import Watch, canary, files_with, on_node, temporary
from tests.nodes.streams import Way

pytestmark = pytest.mark.nodes

NODE = "vpi-81"
HERE = address_of(NODE)
LAN, TLS = 8081, 8443
MODEL = "bramble-demo-q8_0"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]
EDGE, FOLDER = "bramble-edge.service", "/etc/bramble/edge"
CROWD_S = 60
PAGE = ROOT / "docs" / "how-to" / "clients.md"
DOCUMENTED = "pi5-a"
"""The node of the page's examples."""
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
# Known before they are kept, so that they can be looked for from the beginning.
VARIABLE = "BRAMBLE_TEST_KEY"
CANARIES = (canary("brk_"), canary("brk_"))
FIGURES = "/run/bramble-edge/figures.sock"
# As the node's own program asks, which is no more than anybody's of the node.
FIGURE = (
    f"setpriv --reuid nobody --regid nogroup --clear-groups curl -sf --unix-socket {FIGURES} "
    "'http://localhost/metrics?scope=frontend' | grep -F '{name}{{proxy=\"edge\"}}'"
)
CHECKS = (
    "serving.edge_is_as_exposed",
    "serving.edge_answers_as_planned",
    "serving.edge_asks_for_a_key",
    "serving.edge_tells_its_figures",
    "serving.edge_is_bound_as_planned",
    "serving.edge_is_held_by_its_sandbox",
)


class Exposed(Lasting):
    """A node that serves the demo model, exposed as told."""

    def wants(self, expose, firewall="fence", serving=None, **edge):
        self.write(
            [NODE],
            {
                NODE: {
                    "node": {"roles": ["base", "engine", "model", "serving", "firewall"]},
                    "firewall": {"mode": firewall},
                    "serving": {
                        "expose": expose,
                        "edge": {"requests_per_minute": 100_000} | edge,
                        **(serving or {}),
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
    fleet.laptop, fleet.phone = (fleet.key("create", name) for name in ("laptop", "phone"))
    fleet.up()
    return fleet


@pytest.fixture(scope="module")
def sealed(exposed):
    """The same node with `tls`, for the name in the docs' examples as well."""
    done = exposed.bramble("tls", "issue", NODE, "--name", DOCUMENTED)
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
        try:
            connection.sendall(request)
            with connection.makefile("rb") as answer:
                words = answer.readline().split()
        except (BrokenPipeError, ConnectionResetError):
            return None
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


def test_the_docs_examples_for_curl_do_what_they_say_on_lan(exposed, tmp_path):
    said = curls(exposed, tmp_path, f"http://{DOCUMENTED}:{LAN}/")
    assert f'"{MODEL}"' in said
    assert '"content":"4"' in said


def curls(fleet, folder, *words):
    """What the examples of the page print that have these words, run as they stand there."""
    found = [block for block in EXAMPLES if all(word in block for word in ("curl ", *words))]
    assert found, words
    (folder / "inventory").symlink_to(fleet.folder)
    # The node has another name and address than the one in the page.
    places = "".join(f'connect-to = "{DOCUMENTED}:{port}:{HERE}:{port}"\n' for port in (LAN, TLS))
    (folder / ".curlrc").write_text(f'fail\nshow-error\nnoproxy = "*"\n{places}')
    done = subprocess.run(
        ["bash", "-euc", "\n".join(found)],
        cwd=folder,
        env=os.environ | {"CURL_HOME": str(folder), "BRAMBLE_API_KEY": fleet.laptop},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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
    "a page": (lambda key: head("GET", "/", key), 404),
    "a slot's file": (lambda key: head("POST", "/slots/0?action=save", key), 404),
    "a slot's file, asked for": (lambda key: head("POST", "/slots/0?action=restore", key), 404),
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
    # The kernel may reset a connection that ends before all was read, and the answer is lost with it.
    "a huge head": (lambda key: head(key=key, X="a" * 100_000), (400, None)),
    "many heads": (lambda key: head(key=key, **{f"X-{n}": n for n in range(500)}), 400),
    "no HTTP": (lambda key: b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n", 400),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_stranger_is_refused_and_the_model_goes_on(exposed, what):
    request, told = STRANGERS[what]
    assert said_to(request(exposed.laptop)) in (told if isinstance(told, tuple) else (told,))
    assert said_to(head("GET", "/health")) == 200


def test_a_prompt_beyond_the_context_gets_a_clear_400(exposed):
    long = [{"role": "user", "content": "two and two " * 80_000}]
    with pytest.raises(openai.BadRequestError, match="context"):
        client(exposed).chat.completions.create(model=MODEL, messages=long)


def test_what_was_refused_is_in_the_journal_and_no_word_of_a_prompt_or_key_is(exposed, on):
    prompt = canary()
    client(exposed).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": prompt}], max_tokens=2
    )
    lines = on(f"journalctl -u {EDGE} -o cat --no-pager")
    rows = [json.loads(line) for line in lines.splitlines() if line.startswith('{"client"')]
    assert {401, 404, 411, 413, 400, 200} <= {row["status"] for row in rows}
    assert {row["client"] for row in rows if row["status"] == 200} >= {"laptop"}
    whole = on("journalctl -o cat --no-pager")
    assert prompt not in whole
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


def bears(fleet, port):
    """More clients than slots, for a minute: they wait in turn or are told to come again."""
    trusted = fleet.authority if port == TLS else None
    ways = [Way("a crowd", HERE, port, key, trusted) for key in (fleet.laptop, fleet.phone)]
    body = {"messages": QUESTION, "temperature": 0, "max_tokens": 100, "ignore_eos": True}
    borne = crowd.press(
        ways, body, CROWD_S, lambda: crowd.look(NODE), path="/v1/chat/completions", expect="4"
    )
    refused = set(borne.outcomes) - {"200"}
    assert borne.outcomes["200"] >= 8
    assert refused
    assert refused <= {"429", "503"}
    assert borne.is_undisturbed
    assert max(look.banner_s for look in borne.looks) < 2
    assert borne.most_mib("haproxy") < 100
    assert borne.grown_mib("llama-server") < 100


def test_a_crowd_waits_in_turn_or_is_told_to_come_again_and_nothing_gives_way(exposed, on):
    bears(exposed, LAN)
    denied = on(FIGURE.format(name="haproxy_frontend_requests_denied_total"))
    assert float(denied.split()[-1]) > 0


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
    "edge_tells_its_figures": f"rm {FIGURES}",
    "edge_is_bound_as_planned": (
        f"sed -i 's/^    bind \\[::\\]:8081 v4v6/    bind 127.0.0.1:8081/' {FOLDER}/haproxy.cfg; "
        f"systemctl restart {EDGE}"
    ),
    "edge_is_held_by_its_sandbox": (
        "sed -i 's/^ProtectHome=yes/ProtectHome=no/; s/^LogRateLimitBurst=.*/LogRateLimitBurst=9/' "
        f"/etc/systemd/system/{EDGE}; "
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


def test_tls_bears_a_crowd_as_well(sealed):
    bears(sealed, TLS)


def test_the_docs_examples_for_curl_do_what_they_say_with_tls(sealed, tmp_path):
    said = curls(sealed, tmp_path, f"https://{DOCUMENTED}:{TLS}/v1/chat")
    assert "data: [DONE]" in said


@pytest.mark.fault("F28")
def test_a_clients_keys_and_the_certificates_appear_nowhere(
    sealed, on, virtual_pis, record_property
):
    """A known key, the one after it and a new private key: through a deploy, a rotation and use."""
    done = sealed.bramble("tls", "issue", NODE, "--name", DOCUMENTED)
    assert done.returncode == 0, done.stdout
    pem = sealed.folder / "tls" / f"{NODE}.pem"
    # The second line of the key alone: the first one begins like every other key's.
    private = pem.read_text().partition("PRIVATE KEY-----\n")[2].splitlines()[1]
    secrets, said = (*CANARIES, private), [done.stdout]
    with Watch(*secrets, allowed=(BIN / "bramble",)) as watch:
        for how, key in zip(("create", "rotate"), CANARIES, strict=True):
            sealed.key(how, "canary", "--from-env", VARIABLE, **{VARIABLE: key})
            done = sealed.pyinfra("node", "-y", "-vvv", "--diff")
            assert done.returncode == 0, done.stdout
            said.append(done.stdout)
            assert [one.id for one in client(sealed, TLS, key).models.list()] == [MODEL], "in use"
        said += [
            sealed.bramble(*words).stdout
            for words in (
                ("plan", NODE, "--json"),
                ("verify", NODE, "--json"),
                ("config", NODE),
                ("key", "list"),
                ("logs", NODE, "--all"),
            )
        ]
    assert watch.looks > 10
    allowed = {(private, ("node", f"{FOLDER}/edge.pem")), (private, ("here", str(pem)))}
    found = {
        (secret, place)
        for secret in secrets
        for place in (
            *on_node(on, secret),
            *(("here", file) for file in files_with(secret, sealed.folder, *temporary())),
            *(("output", number) for number, text in enumerate(said) if secret in text),
        )
    }
    leaks = {place for _, place in found - allowed} | watch.found
    record_property("leaked_secrets", len(leaks))
    assert leaks == set()
    assert found >= allowed, "they are where they are used"
    assert on(f"stat -c '%a %U %G' {FOLDER}/edge.pem") == "640 root haproxy"
    assert virtual_pis.run(NODE, f"cat {FOLDER}/edge.pem").returncode != 0
    sealed.key("revoke", "canary")


# The demo model's own template knows no tools; with this one they are JSON without a mark before it.
TOOLS = """\
{%- if tools %}{{- '<|system|>' }}
{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
{{- '<|end|>' }}{%- endif %}
{%- for message in messages %}
{{- '<|' + ('user' if message.role == 'tool' else message.role) + '|>' }}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- for call in message.tool_calls or [] %}
{{- '{"name": "' }}{{- call.function.name }}{{- '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}' }}
{%- endfor %}
{{- '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}
"""
TEMPERATURE = {
    "type": "function",
    "function": {
        "name": "temperature",
        "description": "Of a node.",
        "parameters": {
            "type": "object",
            "properties": {"node": {"enum": ["pi4-a", "pi5-a"]}},
            "required": ["node"],
        },
    },
}


def test_a_tool_is_called_through_tls_and_its_result_is_taken(sealed):
    """The demo model was never trained to call one, so it has to: it may say nothing but JSON."""
    sealed.wants("tls", serving={"chat": {"template": TOOLS}})
    sealed.up()
    reader = gguf.GGUFReader(ROOT / "models" / f"{MODEL}.gguf")
    brace = reader.fields["tokenizer.ggml.tokens"].contents().index("{")
    question = [{"role": "user", "content": "Is pi5-a hot?"}]
    asked = {"model": MODEL, "tools": [TEMPERATURE], "temperature": 0, "max_tokens": 200}
    using = client(sealed, TLS).chat.completions
    forced = {"tool_choice": "required", "logit_bias": {str(brace): 100}}
    (choice,) = using.create(messages=question, **asked, **forced).choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name) == ("tool_calls", "temperature")
    assert json.loads(call.function.arguments)["node"] in ("pi4-a", "pi5-a")
    parts = using.create(messages=question, stream=True, **asked, **forced)
    calls = [part.choices[0].delta.tool_calls for part in parts if part.choices]
    text = "".join(one[0].function.arguments or "" for one in calls if one)
    assert json.loads(text) == json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "What is 2+2?"}
    told = [*question, choice.message, result]
    assert using.create(messages=told, tool_choice="none", **asked).choices[0].message.content


def test_vectors_of_texts_come_through_tls(sealed, tmp_path):
    """Of the demo model, which was trained for answers: what they are like says nothing."""
    vectors = {"task": "embeddings", "pooling": "mean", "expect": None}
    sealed.wants("tls", serving=vectors)
    sealed.up()
    using = client(sealed, TLS)
    assert [one.id for one in using.models.list()] == [MODEL]
    texts = ["What is 2+2?", "What is 3+3?", "The ferry leaves at noon."]
    found = using.embeddings.create(model=MODEL, input=texts).data
    assert [one.index for one in found] == [0, 1, 2]
    assert {len(one.embedding) for one in found} == {256}
    assert found[0].embedding != found[2].embedding
    assert '"embedding":[' in curls(sealed, tmp_path, "/v1/embeddings")


def test_local_again_closes_every_port_and_leaves_no_key_behind(sealed, on):
    sealed.wants("local")
    sealed.up()
    assert not any(listens(port) for port in (8080, LAN, TLS))
    assert on(f"ls {FOLDER} 2>/dev/null || true") == ""
    assert on(f"systemctl show -p LoadState --value {EDGE}") == "not-found"
    assert "bramble" not in on("nft list tables")
    code, _ = sealed.verify(NODE)
    assert code == 0
