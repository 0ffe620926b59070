"""A node that watches itself: what it writes of its board, its service, its model and its files."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bramble.remote import exposition as written
from bramble.remote import node_watch, program, server_state
from bramble.system import exposition
from bramble.system.exposition import value
from tests.unit.remote.test_node_edge_state import FIGURES as EDGE
from tests.unit.remote.test_node_edge_state import HEAD, answering
from tests.unit.remote.test_node_gateway_state import FIGURES as GATEWAY

FIGURES = """\
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 120
llamacpp:tokens_predicted_total 64
llamacpp:requests_processing {busy}
llamacpp:requests_deferred 0
"""
BUILD = "b11300-0c1e57098"


def listed(entry):
    """What a router says of a model in a state."""
    name, state = entry
    failed = {"failed": True} if state == "failed" else {}
    return {"id": name, "status": {"value": state, **failed}}


class Llama(ThreadingHTTPServer):
    """A server that answers as llama-server does, with what a test wants of it."""

    health, build, busy, answer, asked = 200, BUILD, 0, "2+2 is 4.", 0
    asleep = False


class Handler(BaseHTTPRequestHandler):
    """Its answers."""

    def log_message(self, *_):
        """Say nothing."""

    def reply(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        pages = {
            "/health": (self.server.health, "{}"),
            "/props": (
                200,
                json.dumps({"build_info": self.server.build, "is_sleeping": self.server.asleep}),
            ),
            "/models": (200, json.dumps({"data": [*map(listed, self.server.states.items())]})),
            "/metrics": (200, FIGURES.format(busy=self.server.busy)),
        }
        if self.path.startswith("/metrics"):
            self.server.scraped.append(self.path)
        code, text = pages[self.path.partition("?")[0]]
        self.reply(code, text.encode())

    def do_POST(self):
        self.server.asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"choices": [{"message": {"content": self.server.answer}}]}
        timings = {"timings": {"predicted_per_second": 9.25}}
        self.reply(200, json.dumps({**message, **timings}).encode())


@contextmanager
def llama():
    """A server on a free port of the loopback."""
    with Llama(("127.0.0.1", 0), Handler) as server:
        server.states, server.scraped = {}, []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(60)


class Node:
    """A node of files below a folder, with programs of its own."""

    def __init__(self, folder, server):
        self.folder, self.programs, self.state = folder, folder / "bin", folder / "state"
        self.file, self.model = folder / "managed.conf", folder / "toy.gguf"
        for made in (self.programs, self.state):
            made.mkdir()
        self.file.write_text("as planned\n")
        self.model.write_bytes(b"GGUF")
        self.stamp()
        self.program(
            "systemctl", f"printf 'ActiveState=active\\nNRestarts=2\\nMainPID={os.getpid()}\\n'"
        )
        self.board("0x0")
        self.plan = {
            "host": "pi5-a",
            "interval_s": 60,
            "folder": str(self.state),
            "files": {str(self.file): hashlib.sha256(b"as planned\n").hexdigest()},
            "perhaps": {str(folder / "swap"): "0" * 64},
            "marks": [str(folder / "never")],
            "channels": [],
            "edge": None,
            "gateway": None,
            "server": {
                "unit": "llama-server.service",
                "url": f"http://127.0.0.1:{server.server_port}",
                "build": BUILD,
                "model_name": 'toy "q4"',
                "model_path": str(self.model),
                "model_sha256": "d" * 64,
                "further": [],
                "helpers": [],
                "planned_bytes": 1 << 30,
                "question": "What is 2+2?",
                "expect": "4",
                "max_tokens": 64,
                "answer_every_s": 3600,
                "deadline_s": 30,
            },
        }

    def stamp(self, sha256="d" * 64):
        status = self.model.stat()
        made = {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
        (self.folder / "toy.gguf.json").write_text(json.dumps(made))

    def program(self, name, script):
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def board(self, bits):
        answers = f'get_throttled) echo throttled={bits};; measure_temp) echo "temp=48.3\'C";;'
        self.program("vcgencmd", f'case "$1" in {answers} measure_volts) echo volt=0.8563V;; esac')

    def watch(self):
        """Run the very text that a node has; what it wrote, as samples and as checks."""
        (self.folder / "plan.json").write_text(json.dumps(self.plan))
        text = program("node_watch", {"plan": str(self.folder / "plan.json")})
        file = self.folder / "node_watch.py"
        file.write_text(text)
        path = f"{self.programs}:{os.environ['PATH']}"
        done = subprocess.run(
            [sys.executable, "-I", str(file)],
            env={"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        self.status = json.loads((self.state / "status.json").read_text())
        self.samples = exposition.parse((self.state / "bramble.prom").read_text())
        return {row["check"]: row["ok"] for row in self.status["checks"]}

    def figure(self, name, /, **labels):
        return value(self.samples, f"bramble_{name}", **labels)


@pytest.fixture
def server():
    with llama() as found:
        yield found


@pytest.fixture
def node(tmp_path, server):
    return Node(tmp_path, server)


def test_a_node_that_is_well_says_so_with_figures_of_everything(node):
    assert set(node.watch().values()) == {True}
    assert node.status["host"] == "pi5-a"
    assert node.figure("checks", status="pass") == len(node.status["checks"])
    assert node.figure("checks", status="fail") == node.figure("checks", status="unknown") == 0
    assert (node.figure("temperature_celsius"), node.figure("core_volts")) == (48.3, 0.8563)
    assert node.figure("server_up") == node.figure("known_answer_success") == 1
    assert node.figure("known_answer_tokens_per_second") == 9.25
    assert node.figure("server_restarts_total") == 2
    assert node.figure("server_resident_bytes") > 1 << 20
    assert node.figure("server_locked_bytes") == 0
    assert node.figure("server_planned_bytes") == 1 << 30
    assert node.figure("server_build_info", build=BUILD, planned=BUILD) == 1
    assert node.figure("model_info", name='toy "q4"', sha256="d" * 64) == 1
    assert node.figure("server_predicted_tokens_total") == 64
    assert node.figure("drift_files") == 0
    assert (node.figure("planned_files"), node.figure("run_interval_seconds")) == (1, 60)


def test_the_bits_of_now_and_since_the_boot_are_told_apart(node):
    node.board("0x50002")
    found = node.watch()
    assert (found["voltage_is_enough"], found["clock_is_not_held_down"]) == (True, False)
    now = {c: node.figure("throttled_now", condition=c) for c in node_watch.CONDITIONS}
    since = {c: node.figure("throttled_since_boot", condition=c) for c in node_watch.CONDITIONS}
    assert [name for name, bit in now.items() if bit] == ["clock_capped"]
    assert [name for name, bit in since.items() if bit] == ["undervoltage", "throttled"]
    node.board("0x50001")
    assert node.watch()["voltage_is_enough"] is False


def test_a_board_that_does_not_tell_is_not_taken_for_one_that_is_well(node, monkeypatch):
    node.program("vcgencmd", "exit 255")
    found = node.watch()
    assert found["voltage_is_enough"] is found["clock_is_not_held_down"] is None
    assert node.figure("known", of="throttled") == node.figure("known", of="volts") == 0
    assert node.figure("throttled_now", condition="undervoltage") is None
    assert node.figure("check_success", check="voltage_is_enough") is None
    assert node.figure("checks", status="unknown") == 2


def test_a_file_that_differs_or_is_gone_is_drift_and_one_that_is_not_for_every_node_may_lack(node):
    node.file.write_text("edited\n")
    assert node.watch()["files_are_as_written"] is False
    assert node.figure("drift_files") == 1
    assert str(node.file) in node.status["checks"][2]["said"]
    node.file.unlink()
    assert node.watch()["files_are_as_written"] is False
    node.file.write_text("as planned\n")
    (node.folder / "swap").write_text("somebody's\n")
    assert node.watch()["files_are_as_written"] is False
    (node.folder / "swap").unlink()
    assert node.watch()["files_are_as_written"] is True


def test_a_file_that_cannot_be_read_is_neither_drift_nor_as_planned(tmp_path):
    wrong, hidden = server_state.differing({str(tmp_path): "0" * 64}, {})
    assert (wrong, hidden) == ([], [str(tmp_path)])


def test_a_server_that_is_down_is_not_asked_and_is_told(node, server):
    server.health = 503
    found = node.watch()
    assert (found["server_is_healthy"], found["answer_is_right"]) == (False, None)
    assert (node.figure("server_up"), server.asked) == (0, 0)
    assert found["build_is_the_planned_one"] is None


def test_a_stopped_service_a_foreign_build_and_another_model_each_fail_their_own_check(
    node, server
):
    node.program("systemctl", "printf 'ActiveState=failed\\nNRestarts=5\\nMainPID=0\\n'")
    server.build = "b1-0000000"
    node.stamp("e" * 64)
    found = node.watch()
    assert [name for name, ok in found.items() if not ok] == [
        "service_is_active",
        "build_is_the_planned_one",
        "model_is_the_verified_one",
    ]
    assert node.figure("server_resident_bytes") is None


def test_a_systemd_that_does_not_answer_leaves_the_service_unknown(node):
    node.program("systemctl", "exit 1")
    assert node.watch()["service_is_active"] is None


def test_a_model_that_was_changed_since_it_was_verified_is_not_the_verified_one(node):
    node.model.write_bytes(b"GGUF, longer")
    assert node.watch()["model_is_the_verified_one"] is False
    assert node.figure("known", of="model") == 0


def test_a_question_is_asked_when_its_time_has_come_and_not_before(node, server):
    node.watch()
    node.watch()
    assert server.asked == 1
    assert node.figure("known_answer_tokens_per_second") == 9.25
    last = node.state / "answer.json"
    last.write_text(json.dumps({**json.loads(last.read_text()), "at_s": 1}))
    node.watch()
    assert server.asked == 2


def test_a_wrong_answer_is_told_and_asked_again_sooner(node, server):
    server.answer = "five"
    assert node.watch()["answer_is_right"] is False
    assert (node.figure("known_answer_success"), server.asked) == (0, 1)
    node.watch()
    assert server.asked == 1
    last = node.state / "answer.json"
    said = json.loads(last.read_text())
    last.write_text(json.dumps({**said, "at_s": said["at_s"] - node_watch.AGAIN_S - 1}))
    server.answer = "4"
    assert node.watch()["answer_is_right"] is True


def test_a_server_that_works_for_somebody_is_not_asked(node, server):
    server.busy = 1
    assert node.watch()["answer_is_right"] is None
    assert (server.asked, node.figure("server_requests_processing")) == (0, 1)


def test_a_question_every_0_seconds_is_never_asked(node, server):
    node.plan["server"]["answer_every_s"] = 0
    assert node.watch()["answer_is_right"] is None
    assert server.asked == 0


@pytest.fixture
def second(node):
    """Another file of a model that was verified, as a plan has it."""
    second = node.folder / "second.gguf"
    second.write_bytes(b"GGUF")
    status = second.stat()
    stamp = {"sha256": "e" * 64, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    (node.folder / "second.gguf.json").write_text(json.dumps(stamp))
    return {"name": "second", "path": str(second), "sha256": "e" * 64}


def test_a_helper_of_the_model_that_was_changed_is_told(node, server, second):
    assert "helpers_are_the_verified_ones" not in node.watch()
    node.plan["server"]["helpers"] = [second]
    assert node.watch()["helpers_are_the_verified_ones"] is True
    (node.folder / "second.gguf").write_bytes(b"GGUF, longer")
    assert node.watch()["helpers_are_the_verified_ones"] is False
    assert "second is not as it was verified" in str(node.status)
    (node.folder / "second.gguf").unlink()
    assert node.watch()["helpers_are_the_verified_ones"] is False


@pytest.fixture
def several(node, server, second):
    """The same node with a second model, of which the server says that it is not loaded."""
    node.plan["server"]["further"] = [second]
    server.states = {'toy "q4"': "loaded", "second": "unloaded"}
    return node


def test_of_several_models_those_that_are_loaded_have_figures_of_their_own(several, server):
    assert set(several.watch().values()) == {True}
    assert several.figure("server_predicted_tokens_total", model='toy "q4"') == 64
    assert several.figure("server_predicted_tokens_total", model="second") is None
    loaded = {name: several.figure("model_loaded", name=name) for name in server.states}
    assert loaded == {'toy "q4"': 1, "second": 0}


def test_a_scrape_loads_no_model_and_wakes_none(several, server):
    server.states = {'toy "q4"': "sleeping", "second": "loaded"}
    assert several.watch()["answer_is_right"] is None
    assert server.scraped == ["/metrics?model=second&autoload=false"]
    assert server.asked == 0


def test_a_server_of_one_model_that_sleeps_is_not_woken(node, server):
    server.asleep = True
    assert node.watch()["answer_is_right"] is None
    assert (server.scraped, server.asked) == ([], 0)
    server.asleep = False
    assert node.watch()["answer_is_right"] is True
    assert server.scraped == ["/metrics"]


def test_a_further_model_that_failed_or_was_changed_is_told(several, server):
    server.states["second"] = "failed"
    assert several.watch()["further_models_are_well"] is False
    assert "second failed" in str(several.status)
    server.states["second"] = "unloaded"
    (several.folder / "second.gguf").write_bytes(b"GGUF, longer")
    assert several.watch()["further_models_are_well"] is False
    assert "second is not as it was verified" in str(several.status)


def test_a_router_that_does_not_list_its_models_is_not_taken_for_one_that_is_well(several, server):
    server.states = {}
    assert several.watch()["further_models_are_well"] is None


def test_the_memory_of_a_router_is_that_of_the_servers_of_its_models_too(tmp_path):
    for pid, parent, kib in ((7, 1, 10), (8, 7, 100), (9, 8, 1000)):
        (tmp_path / str(pid)).mkdir()
        text = f"Name:\tx\nPPid:\t{parent}\nVmRSS:\t{kib} kB\n"
        (tmp_path / str(pid) / "status").write_text(text)
    assert server_state.memory_bytes("7", str(tmp_path)) == {"VmRSS": 110 * 1024}
    assert server_state.memory_bytes("6", str(tmp_path)) == {}


def test_a_node_without_a_model_watches_its_board_and_its_files(node):
    node.plan["server"] = None
    assert list(node.watch()) == [
        "voltage_is_enough",
        "clock_is_not_held_down",
        "files_are_as_written",
    ]
    assert node.figure("server_up") is None


def test_a_way_in_that_tells_nothing_fails_its_check(node, tmp_path):
    assert "way_in_is_up" not in node.watch()
    assert node.figure("edge_up") is None
    node.plan["edge"] = {"socket": str(tmp_path / "none.sock"), "queue": 8}
    assert node.watch()["way_in_is_up"] is False
    assert (node.figure("edge_up"), node.figure("edge_queue_places")) == (0, 8)


def test_a_way_in_that_tells_its_figures_passes(node, tmp_path):
    path = tmp_path / "figures.sock"
    node.plan["edge"] = {"socket": str(path), "queue": 8}
    with answering(path, HEAD + EDGE):
        assert node.watch()["way_in_is_up"] is True
    assert (node.figure("edge_up"), node.figure("edge_refused_total")) == (1, 4)


def test_a_gateway_that_tells_nothing_fails_its_check(node, tmp_path):
    assert "gateway_has_nodes" not in node.watch()
    assert node.figure("gateway_up") is None
    pools = {"pool1": ["small"], "pool2": ["large"]}
    node.plan["gateway"] = {"socket": str(tmp_path / "none.sock"), "queue": 2, "pools": pools}
    assert node.watch()["gateway_has_nodes"] is False
    assert (node.figure("gateway_up"), node.figure("gateway_queue_places")) == (0, 2)


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ((b"", b""), True),
        ((b'pi5-c",state="L7OK"} 1', b'pi5-c",state="L7OK"} 0'), False),
        ((b'pi5-a",state="UP"} 1', b'pi5-a",state="UP"} 0'), False),
        ((b'server="pi5-c"', b'other="pi5-c"'), False),
    ],
    ids=["all have one", "not asked yet", "down", "none told"],
)
def test_each_model_of_a_gateway_must_have_a_node(node, tmp_path, change, right):
    path = tmp_path / "figures.sock"
    pools = {"pool1": ["small"], "pool2": ["large"]}
    node.plan["gateway"] = {"socket": str(path), "queue": 2, "pools": pools}
    with answering(path, HEAD + GATEWAY.replace(*change)):
        assert node.watch()["gateway_has_nodes"] is right
    assert (node.figure("gateway_up"), node.figure("gateway_refused_total")) == (1, 1)


def test_the_time_of_the_last_change_is_that_of_the_newest_mark(node):
    node.watch()
    plan_s = (node.folder / "plan.json").stat().st_mtime
    assert node.figure("deploy_timestamp_seconds") == pytest.approx(plan_s, abs=0.01)
    mark = node.folder / "good.json"
    mark.write_text("{}")
    os.utime(mark, (plan_s + 500, plan_s + 500))
    node.plan["marks"] = [str(mark)]
    node.watch()
    assert node.figure("deploy_timestamp_seconds") == pytest.approx(plan_s + 500, abs=0.01)


def test_figures_are_replaced_whole_and_can_be_read_by_everybody(node):
    node.watch()
    first = (node.state / "bramble.prom").stat()
    node.watch()
    second = (node.state / "bramble.prom").stat()
    assert first.st_ino != second.st_ino
    assert second.st_mode & 0o777 == 0o644
    assert sorted(path.name for path in node.state.iterdir()) == [
        "answer.json",
        "bramble.prom",
        "status.json",
    ]


# The text format


def test_labels_and_helps_are_escaped_and_read_back_as_they_were():
    odd = 'a "b"\\c\nd'
    text = written.text([("toy_info", "gauge", odd, [({"of": odd}, 1)])])
    (sample,) = exposition.parse(text)
    assert (sample.labels, sample.value) == ({"of": odd}, 1.0)
    assert text.count("\n") == 3


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="neither counter nor gauge"):
        written.text([("toy", "number", "x", [({}, 1)])])


@pytest.mark.parametrize("number", [0, 1, True, 0.1, 1795225700.123, 1e22, float("inf")])
def test_numbers_are_read_back_as_they_were(number):
    (sample,) = exposition.parse(written.text([("toy", "gauge", "x", [({}, number)])]))
    assert sample.value == number


@pytest.mark.parametrize(
    "text",
    [
        "toy 1",
        "toy one\n",
        "toy{a=b} 1\n",
        'toy{a="b} 1\n',
        'toy{a="1",a="2"} 1\n',
        "toy 1\ntoy 2\n",
        "2toy 1\n",
        "# TYPE toy number\n",
        "# TYPE toy gauge\n# TYPE toy gauge\n",
        "# HELP 2toy x\n",
    ],
)
def test_what_breaks_the_formats_rules_is_refused(text):
    with pytest.raises(ValueError, match="line"):
        exposition.parse(text)


def test_samples_of_a_server_are_those_without_labels_and_noise_is_skipped():
    found = written.samples('a 1\nb{x="y"} 2\nc much\n# d 4\n\nllamacpp:e 5.5\n')
    assert found == {"a": 1.0, "llamacpp:e": 5.5}
