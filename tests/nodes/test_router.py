"""Several models on a virtual Pi: one server passes requests on to a server of each, or one guesses.

The first model is one of this computer, the others lie on a hub. One node passes through these tests in
their order.
"""

import base64
import hashlib
import json
import shlex
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from bramble.models import gguf, lock
from bramble.models.dims import dims_of
from bramble.models.geometry import geometry
from bramble.models.projector import projector
from bramble.models.source import header
from bramble.virtual.model import GATEWAY, address_of
from tests.nodes.fleet import BIN, ONE_MODEL, ROOT, Lasting, as_json, wait_until
from tests.nodes.test_model_switch import stranger
from tests.shapes.projectors import mlp, picture

pytestmark = pytest.mark.nodes

NODE = "vpi-85"
FOLDER = "/var/lib/bramble/models"
GOOD = "/opt/bramble/engine/good.json"
FIRST, SECOND = "bramble-demo-q8_0", "bramble-demo-f16"
USE, STRANGER, EYES = "bramble-demo:f16", "stranger:q8_0", "eyes:mmproj_f16"
REVISION = "0123456789abcdef0123456789abcdef01234567"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]
PID = "$(systemctl show -p MainPID --value llama-server)"


class Quiet(SimpleHTTPRequestHandler):
    """A hub of files."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def up(virtual_pis):
    """The node, fresh; with it there is the network that the hub is on."""
    virtual_pis.up(NODE, on_progress=print)
    yield
    virtual_pis.down(NODE)


@pytest.fixture(scope="module")
def hub(up, tmp_path_factory):
    """A hub of models, and of a projector without weights; its address, and what models.lock has."""
    root, entries = tmp_path_factory.mktemp("hub"), {}
    eyes = mlp(width=64, heads=4, image=56)
    contents = {
        USE: (ROOT / "models" / f"{SECOND}.gguf").read_bytes(),
        STRANGER: stranger(),
        EYES: eyes.write(root).read_bytes(),
    }
    for use, content in contents.items():
        name = f"{use.replace(':', '-')}.gguf"
        file = root / "example" / "demo" / "resolve" / REVISION / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        entries[use] = lock.Locked(
            repo="example/demo",
            revision=REVISION,
            file=name,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            fit=dims_of(geometry(header(str(ROOT / "models" / f"{SECOND}.gguf")))),
        )
    seen = projector(gguf.read(contents[EYES]))
    entries[EYES] = entries[EYES].model_copy(update={"fit": None, "projector": seen})
    with ThreadingHTTPServer((GATEWAY, 0), partial(Quiet, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://{GATEWAY}:{server.server_port}", entries
        server.shutdown()
        thread.join()


class Several(Lasting):
    """A node that serves the demo model, and others beside it."""

    def wants(self, *also, expose="local", helpers=None, **serving):
        """Have it serve these beside the first one, or have other files help that one."""
        self.write(
            [NODE],
            {
                NODE: {
                    "node": {"roles": ["base", "engine", "model", "serving"]},
                    "model": {"also": list(also), "endpoint": self.endpoint, **(helpers or {})},
                    "serving": {"expose": expose, "also_expect": dict.fromkeys(also, "4")}
                    | serving,
                }
            },
        )
        (self.folder / "models.lock").write_text(lock.text(self.entries))

    def up(self, code=0):
        done = self.bramble("up", NODE)
        assert done.returncode == code, done.stdout
        return done.stdout

    def checked(self):
        """The state of each check, with the exit code."""
        code, results = self.verify(NODE)
        return code, {check: entry["status"] for (_, check), entry in results.items()}

    def asked(self, *words):
        """What a model answers to `bramble ask`."""
        done = self.bramble("ask", "What is 2+2?", "--host", NODE, *words)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def reported(self):
        """What `bramble model list` reports about each file, by the name of its model."""
        said = as_json(self.bramble("model", "list", NODE, "--json"))
        (host,) = said["hosts"]
        return {row["path"].split("/")[-1].rpartition("-")[0]: row for row in host["models"]}


@pytest.fixture(scope="module")
def fleet(hub, tmp_path_factory):
    """A node that serves one model, and then two."""
    fleet = Several(tmp_path_factory.mktemp("fleet"))
    fleet.endpoint, fleet.entries = hub
    fleet.wants()
    fleet.up()
    fleet.wants(USE)
    fleet.up()
    return fleet


@pytest.fixture(scope="module")
def on(virtual_pis):
    """A command on the node as root: on(command) is what it printed."""
    return lambda command: virtual_pis.said(NODE, f"sudo sh -c {shlex.quote(command)}")


def states(on):
    """What the server says of its models."""
    said = json.loads(on("curl -s http://127.0.0.1:8080/models"))
    return {
        one["id"]: "failed" if one["status"].get("failed") else one["status"]["value"]
        for one in said["data"]
    }


def test_each_model_answers_by_its_name_and_the_first_one_without(fleet, on):
    assert "4" in fleet.asked()
    assert "4" in fleet.asked("--model", SECOND)
    assert states(on) == {FIRST: "unloaded", SECOND: "loaded"}
    assert "4" in fleet.asked("--model", FIRST)
    assert states(on) == {FIRST: "loaded", SECOND: "unloaded"}


def test_its_checks_pass_and_a_second_run_changes_nothing(fleet, on):
    code, found = fleet.checked()
    assert {found[check] for check in ONE_MODEL} == {"pass"}
    assert code == 0, found
    assert f"{NODE}: no changes; " in fleet.up()
    on("systemd-analyze security --threshold=10 llama-server.service")
    assert [one["name"] for one in json.loads(on(f"cat {GOOD}"))["further"]] == [SECOND]


def test_a_model_has_a_server_of_its_own_that_nothing_else_reaches(fleet, on):
    assert "4" in fleet.asked()
    child = on(f"pgrep -P {PID}")
    assert on(f"readlink /proc/{child}/exe") == on(f"readlink /proc/{PID}/exe")
    assert on(f"cat /proc/{child}/cgroup") == on(f"cat /proc/{PID}/cgroup")
    bound = on(f"ss -Hltnp | grep pid={child},").split()[3]
    assert bound.startswith("127.0.0.1:")
    words = on(f"tr '\\0' ' ' < /proc/{child}/cmdline")
    assert "--cors-origins localhost" in words
    assert "--ctx-size 512" in words


def test_a_server_of_a_model_that_is_killed_is_found_and_back_with_the_next_request(fleet, on):
    main = on(f"echo {PID}")
    on(f"kill -9 $(pgrep -P {PID})")
    wait_until(lambda: "failed" in states(on).values(), 30, "a model that failed")
    code, found = fleet.checked()
    assert (code, found["serving.router_has_the_planned_models"]) == (1, "fail")
    assert found["serving.health_is_ok"] == found["serving.model_answers"] == "pass"
    assert "4" in fleet.asked()
    assert fleet.checked()[0] == 0
    assert on(f"echo {PID}") == main


def test_neither_model_is_pruned_while_both_are_planned(fleet):
    assert fleet.bramble("model", "prune", NODE).returncode == 0
    found = fleet.reported()
    assert {name: row["what"].split(",")[0] for name, row in found.items()} == {
        FIRST: "the planned model",
        SECOND: "the planned model",
    }
    assert not any(row["removable"] for row in found.values())


def test_a_damaged_file_is_found_by_its_hash_and_mended(fleet, on):
    assert "4" in fleet.asked("--model", FIRST)
    on(
        f"f=$(ls {FOLDER}/{SECOND}-*.gguf); "
        "dd if=/dev/zero of=$f bs=100000 seek=26 count=20 conv=notrunc status=none; sync"
    )
    code, found = fleet.checked()
    assert code == 1
    assert found["model.further_models_are_the_pinned_ones"] == "fail"
    assert found["model.model_is_the_pinned_one"] == found["serving.model_answers"] == "pass"
    assert f"Fetch the model {SECOND}" in fleet.up()
    assert fleet.checked()[0] == 0


def test_a_model_that_does_not_load_fails_the_gate_and_those_before_serve_again(fleet, on):
    unit = on("cat /etc/systemd/system/llama-server.service")
    fleet.wants(USE, STRANGER)
    said = fleet.up(code=1)
    assert "model stranger-q8_0: its server gave no answer: StatusError: HTTP 500" in said
    assert "what ran before serves again" in said
    assert on("cat /etc/systemd/system/llama-server.service") == unit
    assert {*states(on)} == {FIRST, SECOND}
    assert "4" in fleet.asked("--model", SECOND)
    assert f"bramble upgrade --again {NODE}" in fleet.up(code=1)
    fleet.wants(USE)
    fleet.up()
    assert fleet.checked()[0] == 0


def test_models_that_do_not_fit_together_are_refused_before_anything_is_done(fleet, on):
    total = int(on("grep MemTotal /proc/meminfo").split()[1]) // 1024
    fleet.wants(USE, models_at_once=2, reserve_mib=total)
    for word in ("plan", "up"):
        done = fleet.bramble(word, NODE)
        assert done.returncode == 1
        assert f"{FIRST}, {SECOND} do not fit, so nothing is fetched" in done.stdout
    assert fleet.bramble("fit", "--host", NODE).returncode == 1
    fleet.wants(USE)
    done = fleet.bramble("fit", "--host", NODE)
    assert done.returncode == 0
    assert f"{SECOND} " in done.stdout


def test_two_at_once_stay_loaded_and_give_their_memory_back_when_nobody_asks(fleet, on):
    fleet.wants(USE, models_at_once=2, idle_unload_s=2)
    fleet.up()
    for name in (FIRST, SECOND):
        assert "4" in fleet.asked("--model", name)
    wait_until(lambda: {*states(on).values()} == {"sleeping"}, 60, "models that sleep")
    assert on(f"cat /proc/$(pgrep -P {PID} | head -1)/maps | grep -c gguf || true") == "0"
    assert fleet.checked()[0] == 0
    fleet.wants(USE)
    fleet.up()


def test_clients_get_the_names_and_each_model_and_no_path_of_the_node(fleet):
    made = subprocess.run(
        [str(BIN / "bramble"), "key", "create", "laptop"],
        env=fleet.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    key = made.stdout.strip()
    fleet.wants(USE, expose="lan")
    fleet.up()
    using = openai.OpenAI(base_url=f"http://{address_of(NODE)}:8081/v1", api_key=key, max_retries=0)
    listed = using.models.list()
    assert [model.id for model in listed] == [FIRST, SECOND]
    assert FOLDER not in listed.model_dump_json()
    for name in (FIRST, SECOND):
        whole = using.chat.completions.create(model=name, messages=QUESTION, temperature=0)
        assert "4" in whole.choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="not found"):
        using.chat.completions.create(model="another", messages=QUESTION)
    root = using.with_options(base_url=f"http://{address_of(NODE)}:8081")
    for ask in (
        lambda: root.get("/models", cast_to=object),
        lambda: root.post("/models/load", cast_to=object, body={"model": SECOND}),
        lambda: root.post("/models/unload", cast_to=object, body={"model": FIRST}),
        lambda: root.delete("/models", cast_to=object),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()
    assert fleet.checked()[0] == 0


def test_one_model_again_is_served_as_before(fleet, on):
    fleet.wants()
    fleet.up()
    assert "--models-preset" not in on("cat /etc/systemd/system/llama-server.service")
    assert on(f"pgrep -P {PID} || echo none") == "none"
    code, found = fleet.checked()
    assert (code, {found[check] for check in ONE_MODEL}) == (0, {"skip"})
    # The list of before was what a way back needed.
    fleet.up()
    assert on("ls /etc/bramble/models 2>/dev/null || true") == ""
    assert f"{NODE}: no changes; " in fleet.up()


def test_a_model_guesses_for_the_first_one_and_is_proved_as_that_is(fleet, on):
    fleet.wants(helpers={"draft": USE}, speculation={"type": "draft-simple", "draft_tokens": 4})
    fleet.up()
    code, found = fleet.checked()
    assert (code, found["model.further_models_are_the_pinned_ones"]) == (0, "pass")
    fleet.up()  # what a way back needed is cleared up
    assert f"{NODE}: no changes; " in fleet.up()
    mapped = on(f"cat /proc/{PID}/maps")
    assert f"{FIRST}-" in mapped
    assert f"{SECOND}-" in mapped
    body = json.dumps({"prompt": "two plus two is", "n_predict": 40, "ignore_eos": True})
    said = json.loads(on(f"curl -sS -d {shlex.quote(body)} 127.0.0.1:8080/completion"))
    assert said["timings"]["predicted_n"] == 40
    assert said["timings"]["draft_n"] > 0
    (helper,) = json.loads(on(f"cat {GOOD}"))["helpers"]
    assert helper.rpartition("/")[2].startswith(SECOND)
    assert fleet.bramble("model", "prune", NODE).returncode == 0
    assert fleet.reported()[SECOND]["what"].startswith("the planned model")


def test_a_damaged_file_of_the_model_that_guesses_is_found_and_mended(fleet, on):
    on(f"f=$(ls {FOLDER}/{SECOND}-*.gguf); printf x | dd of=$f conv=notrunc status=none; sync")
    code, found = fleet.checked()
    assert (code, found["model.further_models_are_the_pinned_ones"]) == (1, "fail")
    assert f"Fetch the model {SECOND}" in fleet.up()
    assert fleet.checked()[0] == 0
    fleet.wants()
    fleet.up()
    assert SECOND not in on(f"cat /proc/{PID}/maps")


def test_an_image_is_taken_by_a_projector_that_is_fetched_and_proved_as_models_are(fleet, on):
    fleet.wants(helpers={"projector": EYES})
    fleet.up()
    code, found = fleet.checked()
    assert (code, found["model.further_models_are_the_pinned_ones"]) == (0, "pass")
    assert json.loads(on("curl -s 127.0.0.1:8080/props"))["modalities"]["vision"]
    url = f"data:image/png;base64,{base64.b64encode(picture(80, 60)).decode()}"
    content = [{"type": "text", "text": "2+2?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = json.dumps({"messages": [{"role": "user", "content": content}], "max_tokens": 2})
    said = json.loads(on(f"curl -sS -d {shlex.quote(body)} 127.0.0.1:8080/v1/chat/completions"))
    assert said["usage"]["prompt_tokens"] >= (56 // 14) ** 2
    fleet.wants()
    fleet.up()
    assert not json.loads(on("curl -s 127.0.0.1:8080/props"))["modalities"]["vision"]


def test_weights_that_the_kernel_does_not_lock_are_found(fleet, on):
    """In a container it locks nothing; that it does on a machine is in test_machine.py."""
    fleet.wants(lock_weights=True, helpers={"draft": USE}, speculation={"type": "draft-simple"})
    assert "memory_is_locked_as_planned: fail: wanted at least 7858 KiB" in fleet.up(code=1)
    assert fleet.checked()[1]["serving.model_answers"] == "pass"
    fleet.wants()
    fleet.up()
    assert fleet.checked()[0] == 0
