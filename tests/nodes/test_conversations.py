"""Conversations on a virtual Pi: template, prompts that come back, guesses, lines in the journal."""

import json
import shlex

import pytest

from tests.nodes.fleet import Lasting, as_json

pytestmark = pytest.mark.nodes

NODE = "vpi-86"
UNIT_FILE = "/etc/systemd/system/llama-server.service"
TEMPLATES = "/etc/bramble/chat-templates"
RULES = " ".join(f"rule {i}: two plus {i} is {i + 2}." for i in range(18))
# That of the model's own file, so that it answers as it was taught to.
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SETTINGS = {
    "chat": {"template": TEMPLATE},
    "cache_ram_mib": 32,
    "speculation": {"type": "ngram-map-k", "match_tokens": 4, "draft_tokens": 16},
    "log": {"burst": 2000},
}


class Conversing(Lasting):
    """A node that serves the demo model with settings of conversations."""

    def up(self, **serving):
        roles = {"roles": ["base", "engine", "model", "serving"]}
        self.write([NODE], {NODE: {"node": roles, "serving": {**SETTINGS, **serving}}})
        done = self.bramble("up", NODE)
        assert done.returncode == 0, done.stdout

    def problems(self):
        """What the checks that fail say, by their names."""
        code, results = self.verify(NODE)
        failed = {
            check: found["got"]
            for (_, check), found in results.items()
            if found["status"] == "fail"
        }
        assert code == (1 if failed else 0)
        return failed


@pytest.fixture(scope="module")
def node(virtual_pis, tmp_path_factory):
    """The node, deployed."""
    virtual_pis.up(NODE)
    fleet = Conversing(tmp_path_factory.mktemp("fleet"))
    fleet.up()
    yield fleet
    virtual_pis.down(NODE)


@pytest.fixture
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


@pytest.fixture
def told(on):
    """What the server answers to JSON on its loopback: told(path, body)."""

    def asked(path, body):
        text = shlex.quote(json.dumps(body))
        return json.loads(on(f"curl -sS --max-time 120 -d {text} 127.0.0.1:8080{path}"))

    return asked


def test_the_node_is_well_with_all_of_them(node):
    assert node.problems() == {}


def test_a_chat_template_is_read_by_the_server_in_its_sandbox(node, on, told):
    (path,) = on(f"ls {TEMPLATES}/*.jinja").split()
    props = json.loads(on("curl -sS 127.0.0.1:8080/props"))
    assert props["chat_template"] == on(f"cat {path}")
    assert props["chat_template"].endswith(TEMPLATE)
    written = told("/apply-template", {"messages": [{"role": "user", "content": "x"}]})
    assert written["prompt"] == "<|user|>x<|end|><|assistant|>"


def test_the_template_and_its_folders_are_for_all_to_read_and_roots_to_write(node, on):
    (path,) = on(f"ls {TEMPLATES}/*.jinja").split()
    said = on(f"stat -c '%a %U %G' {path} {TEMPLATES} /etc/bramble").splitlines()
    assert said == ["644 root root", "755 root root", "755 root root"]
    as_llama = "setpriv --reuid=llama --regid=llama --clear-groups"
    assert on(f"{as_llama} cat {path}").endswith(TEMPLATE)


def test_a_template_that_the_server_cannot_read_is_found_and_mended(node, on):
    (path,) = on(f"ls {TEMPLATES}/*.jinja").split()
    on(f"chmod 600 {path}")
    assert path in node.problems()["serving.files_are_as_written"]
    node.up()
    assert (node.problems(), on(f"stat -c %a {path}")) == ({}, "644")


def found_again(told, question):
    """How many tokens of the rules with a question need not be computed, and how many are."""
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": question}]
    body = {"messages": messages, "max_tokens": 4, "temperature": 0}
    timings = told("/v1/chat/completions", body)["timings"]
    return timings["cache_n"], timings["prompt_n"]


def test_a_system_prompt_is_found_again_after_somebody_elses_question(node, told):
    found_again(told, "What is 2+2?")
    assert node.problems() == {}  # it asks a question of its own
    cached, computed = found_again(told, "What is 3+3?")
    assert cached > 300 > 30 > computed


def test_what_is_repeated_is_guessed(node, told):
    body = {"prompt": RULES, "n_predict": 120, "temperature": 0, "ignore_eos": True}
    timings = told("/completion", body)["timings"]
    assert timings["predicted_n"] == 120
    assert timings["draft_n"] > 0


def test_a_limit_of_lines_is_in_force_and_another_one_is_found_and_mended(node, on):
    show = "systemctl show -p LogRateLimitBurst --value llama-server"
    assert on(show) == "2000"
    on(f"sed -i s/LogRateLimitBurst=2000/LogRateLimitBurst=9/ {UNIT_FILE}; systemctl daemon-reload")
    found = node.problems()["serving.unit_is_loaded_as_written"]
    assert "LogRateLimitBurst is 9, planned 2000" in found
    node.up()
    assert (node.problems(), on(show)) == ({}, "2000")


def test_a_page_for_browsers_is_not_there_nor_are_slots(node, on):
    for path in ("/", "/index.html", "/slots"):
        said = on(f"curl -s -o /dev/null -w '%{{http_code}}' 127.0.0.1:8080{path}")
        assert said in ("404", "501"), path
    refused = on("curl -sS -d '{\"filename\":\"x\"}' '127.0.0.1:8080/slots/0?action=save'")
    assert "does not support slots action" in refused


def test_status_tells_what_the_server_does_and_writes_nothing(node, on):
    written = "find / -xdev -newer /tmp/then -type f ! -path '/proc/*' ! -path '/var/log/*'"
    on("touch /tmp/then")
    done = node.bramble("status", NODE, "--json")
    assert done.returncode == 0, done.stdout
    (host,) = as_json(done)["hosts"]
    assert (host["host"], host["state"], host["build_planned"]) == (NODE, "healthy", True)
    assert [(one["state"], one["planned"]) for one in host["models"]] == [("loaded", True)]
    assert (host["slots_busy"], host["slots"], host["waiting"]) == (0, 1, 0)
    assert 0 < host["resident_mib"] < host["planned_mib"] + 100
    assert host["uptime_s"] > 0
    # sshd, sudo and PAM keep who logged in, as of any login.
    left = [path for path in on(written).split() if not path.startswith(("/run/", "/var/lib/"))]
    assert left == []


def test_status_tells_of_a_server_that_was_stopped(node, on):
    on("systemctl stop llama-server")
    done = node.bramble("status", NODE, "--json")
    assert (done.returncode, as_json(done)["hosts"][0]["state"]) == (1, "stopped")


def test_a_restart_has_it_answer_again(node, on):
    before = on("systemctl show -p ActiveEnterTimestampMonotonic --value llama-server")
    done = node.bramble("restart", NODE)
    assert done.returncode == 0, done.stdout
    assert on("systemctl show -p ActiveEnterTimestampMonotonic --value llama-server") != before
    assert node.problems() == {}


def test_doctor_finds_nothing_in_the_way_of_a_deploy(node):
    done = node.bramble("doctor", NODE)
    assert done.returncode == 0, done.stdout
    assert NODE in done.stdout
