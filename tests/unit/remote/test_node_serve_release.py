"""The gate: a release stays only where it proves itself, and the one before serves otherwise."""

import json
import os
import re
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from bramble.remote import good_record, port_holder, serve_release

UNIT = "llama-server.service"
OLD, NEW, OLDER = "0" * 12, "1" * 12, "2" * 12
IDENTITY = {"model": "d" * 64, "argv": "a" * 12, "board": "pi5"}
ATTEMPT = "f" * 12
VECTOR = [0.6, 0.8, 0.0]
# A model that llama.cpp does not know, in its own words.
UNLOADABLE = (
    "llama_model_load: error loading model: error loading model architecture: unknown model "
    "architecture: 'nosuch'\nllama_model_load_from_file_impl: failed to load model\n"
)


class Server:
    """A llama-server whose releases behave as told: by the release that is current."""

    def __init__(self, home):
        self.home = home
        self.answers = {OLD: "it is 4", NEW: "4"}
        self.speeds = {OLD: 10.0, NEW: 9.0}
        self.healthy = {OLD: True, NEW: True}
        self.asked = []
        self.of_models = {}
        self.at_speed = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_GET(self):
                ok = outer.healthy[outer.running]
                self.reply(200 if ok else 503, {})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, body))
                if self.path == "/completion":
                    if outer.at_speed:
                        outer.at_speed()
                    speed = outer.speeds[outer.running]
                    return self.reply(200, {"timings": {"predicted_per_second": speed}})
                if self.path == "/v1/embeddings":
                    data = [{"index": at, "embedding": VECTOR} for at in range(len(body["input"]))]
                    return self.reply(200, {"data": data, "usage": {"prompt_tokens": 80}})
                content = outer.of_models.get(body["model"], outer.answers[outer.running])
                if content is None:
                    return self.reply(500, {"error": {"message": "model failed to load"}})
                return self.reply(200, {"choices": [{"message": {"content": content}}]})

            def reply(self, status, value):
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.running = OLD
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def current(self):
        return os.readlink(self.home / "current").removeprefix("releases/")

    def end(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node that has served OLD, with NEW just linked, its unit written, and a systemd of its own."""
    home = tmp_path / "engine"
    for name in (OLD, NEW):
        (home / "releases" / name).mkdir(parents=True)
    (home / "current").symlink_to(f"releases/{NEW}")
    unit_file = tmp_path / UNIT
    unit_file.write_text("new unit")
    server = Server(home)
    made = SimpleNamespace(
        home=home, unit_file=unit_file, server=server, orders=[], failing=None, state="active"
    )
    made.tools = tmp_path / "tools"
    made.tools.mkdir()
    (made.tools / "vcgencmd").write_text(f'#!/bin/sh\ncat "{made.tools}/$1"\n')
    (made.tools / "vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{made.tools}:/usr/bin:/bin")
    monkeypatch.setattr(serve_release, "WATCH_EVERY_S", 0.02)
    monkeypatch.setattr(serve_release, "COOL_S", 0.1)
    board(made)
    made.states_of = {}
    made.since = []
    made.words = "cannot load the model\n"

    def run(argv, **options):
        line = " ".join(argv)
        if argv[0] == "journalctl":
            made.since.append(float(argv[3].removeprefix("--since=@")))
            return SimpleNamespace(stdout=made.words)
        if argv[1] == "show":
            return SimpleNamespace(stdout=made.states_of.get(server.running, "active") + "\n")
        made.orders.append(line.removeprefix("systemctl "))
        if made.failing and made.failing in line:
            raise subprocess.CalledProcessError(1, argv, stderr="no such unit\nSee there.\n")
        if argv[1] == "restart":
            server.running = (
                OLD if unit_file.read_text().startswith("old unit") else server.current()
            )
        return SimpleNamespace(stdout="")

    errors = (subprocess.CalledProcessError, subprocess.SubprocessError)
    fake = SimpleNamespace(run=run, CalledProcessError=errors[0], SubprocessError=errors[1])
    monkeypatch.setattr(serve_release, "subprocess", fake)
    monkeypatch.setattr(good_record, "now", lambda: "2026-11-21T08:00:00+00:00")
    # The server is a thread of this process, which stands for the unit's.
    made.cgroup = tmp_path / "cgroup"
    made.cgroup.write_text(f"0::/system.slice/{UNIT}\n")
    monkeypatch.setattr(port_holder, "CGROUP", str(made.cgroup))
    yield made
    server.end()


def board(node, bits=0, degrees=50.0):
    """Have the board's own tool say this from now on; each file is there whole or not at all."""
    for name, text in (
        ("get_throttled", f"throttled={bits:#x}"),
        ("measure_temp", f"temp={degrees}'C"),
    ):
        (node.tools / "new").write_text(f"{text}\n")
        (node.tools / "new").rename(node.tools / name)


def known_good(node, **changes):
    """Have OLD be the known good release."""
    note = {
        "release": OLD,
        **IDENTITY,
        "tokens_per_second": 10.0,
        "url": node.server.url,
        "unit": "old unit",
        "history": [],
    } | changes
    (node.home / "good.json").write_text(json.dumps(note))


def gate(node, **changes):
    query = {
        "unit": UNIT,
        "unit_file": str(node.unit_file),
        "restart": True,
        "url": node.server.url,
        "host": "127.0.0.1",
        "deadline_s": 60,
        "home": str(node.home),
        "release": NEW,
        "identity": IDENTITY,
        "attempt": ATTEMPT,
        "name": "qwen-q4_0",
        "path": "/models/qwen.gguf",
        "helpers": [],
        "further": [],
        "question": "What is 2+2?",
        "expect": "4",
        "dimensions": None,
        "speed_share": 0.8,
    }
    return serve_release.main(query | changes)


def good(node):
    return json.loads((node.home / "good.json").read_text())


def rejected(node, mark=NEW):
    path = node.home / "rejected" / f"{mark}.json"
    return json.loads(path.read_text())["why"] if path.exists() else None


def test_a_release_that_passes_is_the_good_one_with_what_it_showed(node, capsys):
    known_good(node)
    assert gate(node) == 0
    assert node.orders == [
        "daemon-reload",
        f"enable {UNIT}",
        f"reset-failed {UNIT}",
        f"restart {UNIT}",
    ]
    assert good(node) == {
        "release": NEW,
        **IDENTITY,
        "name": "qwen-q4_0",
        "path": "/models/qwen.gguf",
        "answer": "4",
        "tokens_per_second": 9.0,
        "at": "2026-11-21T08:00:00+00:00",
        "url": node.server.url,
        "unit": "new unit",
        "history": [
            {
                "release": OLD,
                **IDENTITY,
                "name": None,
                "path": None,
                "tokens_per_second": 10.0,
                "at": None,
            }
        ],
    }
    assert os.readlink(node.home / "previous") == f"releases/{OLD}"
    assert rejected(node) is None
    assert f":: release {NEW} is good with qwen-q4_0: 9.0 tokens/s" in capsys.readouterr().out


def test_it_is_asked_the_question_and_three_completions_of_one_length(node):
    gate(node)
    (chat, said), *speeds = node.server.asked
    assert (chat, said["temperature"]) == ("/v1/chat/completions", 0)
    assert said["messages"] == [{"role": "user", "content": "What is 2+2?"}]
    assert [path for path, _ in speeds] == ["/completion"] * 3
    assert {(body["n_predict"], body["ignore_eos"]) for _, body in speeds} == {(32, True)}


def test_a_release_that_runs_already_is_gated_without_a_restart(node):
    node.server.running = NEW
    assert gate(node, restart=False) == 0
    assert node.orders == []
    assert good(node)["release"] == NEW


FAULTS = {
    "a wrong answer": (
        lambda node: node.server.answers.update({NEW: "five"}),
        "it answered 'five' to 'What is 2+2?', wanted an answer with '4'",
    ),
    "no answer": (lambda node: node.server.answers.update({NEW: " "}), "it answered ''"),
    "a reply of another form": (
        lambda node: node.server.speeds.update({NEW: "fast"}),
        "its server gave no answer: ValueError",
    ),
    "too slow": (
        lambda node: node.server.speeds.update({NEW: 7.9}),
        "it makes 7.9 tokens/s, and 8.0 are the least",
    ),
    "a weak supply": (
        lambda node: setattr(node.server, "at_speed", lambda: board(node, 0x50005)),
        "the supply did not hold its voltage while it computed (undervoltage)",
    ),
    "a weak supply all the time": (
        lambda node: board(node, 0x50005),
        "the supply did not hold its voltage while it computed (undervoltage)",
    ),
    "a dip of the voltage between two looks": (
        lambda node: setattr(node.server, "at_speed", lambda: board(node, 0x10000)),
        "the supply did not hold its voltage while it computed (undervoltage)",
    ),
    "a wrong answer of a weak supply": (
        lambda node: (board(node, 0x1), node.server.answers.update({NEW: "five"})),
        "a short, thick cable; besides, it answered 'five'",
    ),
    "it ends": (
        lambda node: (
            node.server.healthy.update({NEW: False}),
            node.states_of.update({NEW: "failed"}),
        ),
        f"{UNIT} failed to start",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_release_that_fails_gives_way_to_the_one_before(node, capsys, fault):
    known_good(node)
    spoil, why = FAULTS[fault]
    spoil(node)
    assert gate(node) == 1
    assert node.server.current() == node.server.running == OLD
    assert node.unit_file.read_text() == "old unit"
    assert good(node)["release"] == OLD
    assert not (node.home / "previous").exists()
    assert why in rejected(node)
    said = capsys.readouterr().out
    assert said.strip().endswith(f"; {OLD} serves again")
    assert "cannot load the model" in said


HEAT = {0x2: "clock capped", 0x4: "throttled", 0x80008: "soft temperature limit", 0xE000E: "clock"}


@pytest.mark.parametrize("bits", HEAT)
def test_a_board_that_stays_hot_decides_nothing_and_what_was_good_serves(node, capsys, bits):
    """Whatever it was like before, and whatever the figure is."""
    known_good(node)
    board(node, bits, 84.5)
    assert gate(node) == 1
    assert (node.server.running, node.unit_file.read_text()) == (OLD, "old unit")
    assert rejected(node) is None
    assert good(node)["tokens_per_second"] == 10.0
    said = capsys.readouterr().out
    last = said.strip().splitlines()[-1]
    assert last.startswith(f":: release {NEW} is undecided: the board was held back by heat")
    assert HEAT[bits] in last
    assert last.endswith(f"; {OLD} serves again; run again when the board is cooler")
    assert said.count("it is measured again when it is cool") == serve_release.TRIES - 1
    assert "waiting for 65 °C" in said


def test_heat_that_goes_has_it_measured_again_and_the_throttled_figure_counts_for_nothing(node):
    known_good(node)
    asked = []

    def at_speed():
        node.server.speeds[NEW] = 2.0 if len(asked) < 3 else 9.0
        asked.append(node.server.speeds[NEW])
        if len(asked) == 3:
            board(node, 0xE0000, 55.0)

    node.server.at_speed = at_speed
    board(node, 0xE0008)
    assert gate(node) == 0
    assert len(asked) == 6
    assert (good(node)["release"], good(node)["tokens_per_second"]) == (NEW, 9.0)


def test_what_was_before_says_nothing(node):
    """A compile ended just now: the marks of since the boot are all set."""
    known_good(node)
    board(node, 0xF0000)
    assert gate(node) == 0


def test_a_hot_board_that_knows_nothing_better_goes_on_with_what_is_planned(node, capsys):
    board(node, 0x80008)
    assert gate(node) == 1
    assert node.server.current() == NEW
    assert not (node.home / "good.json").exists()
    assert "is undecided: " in capsys.readouterr().out.strip().splitlines()[-1]


def test_a_board_that_does_not_tell_is_said_and_one_that_is_no_pi_is_not(node, capsys):
    (node.tools / "get_throttled").unlink()
    assert gate(node) == 0
    assert "neither vcgencmd nor the kernel reports whether the board" in capsys.readouterr().out
    (node.tools / "vcgencmd").unlink()
    assert gate(node) == 0
    assert "neither vcgencmd" not in capsys.readouterr().out


def test_a_service_that_systemd_cannot_start_is_told_in_one_line(node, capsys):
    known_good(node)
    node.failing = "restart"
    assert gate(node) == 1
    assert rejected(node) == (f"{UNIT} failed to start: systemctl restart {UNIT}: no such unit")
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert f"{OLD} was put back and fails too: {UNIT} failed to start" in last


def test_a_release_that_never_becomes_healthy_gives_way_after_the_deadline(
    node, capsys, monkeypatch
):
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds):
        clock.now += 10

    fake = SimpleNamespace(monotonic=lambda: clock.now, time=time.time, sleep=sleep)
    monkeypatch.setattr(serve_release, "time", fake)
    known_good(node)
    node.server.healthy[NEW] = False
    assert gate(node, deadline_s=40) == 1
    assert "did not answer 200 at" in rejected(node)
    assert "within 40 s (last: HTTP 503)" in rejected(node)
    assert capsys.readouterr().out.count(":: waiting for") == 2


def test_speed_is_compared_only_where_model_arguments_and_board_are_the_same(node):
    for other in ({"model": "e" * 64}, {"argv": "b" * 12}, {"board": "pi4"}):
        known_good(node, tokens_per_second=1000.0, **other)
        assert gate(node) == 0
        assert good(node)["release"] == NEW


def test_a_release_is_not_held_against_its_own_last_figure(node):
    known_good(node, release=NEW, tokens_per_second=1000.0)
    assert gate(node) == 0


def test_a_release_that_was_good_before_is_held_against_its_own_figure(node):
    """Going back to a slower one must be possible."""
    before = {"release": NEW, **IDENTITY, "tokens_per_second": 9.5}
    known_good(node, tokens_per_second=1000.0, history=[before])
    assert gate(node) == 0
    known_good(node, tokens_per_second=1000.0, history=[before | {"tokens_per_second": 90.0}])
    assert gate(node) == 1


def test_any_speed_will_do_with_a_share_of_0(node):
    known_good(node, tokens_per_second=1000.0)
    assert gate(node, speed_share=0) == 0


def test_without_a_known_good_release_a_failure_leaves_all_as_it_is(node, capsys):
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    assert node.server.current() == NEW
    assert rejected(node) is None
    assert "there is no other to go back to" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", '{"rel', "{}"])
def test_a_damaged_note_is_no_known_good_release(node, text):
    (node.home / "good.json").write_text(text)
    assert gate(node) == 0
    assert good(node)["history"] == []


# A model as a release


def switched(node, **changes):
    """Have the release be the known good one, with another model."""
    known_good(node, **{"release": NEW, "model": "e" * 64, "name": "tiny", "path": None} | changes)


SWITCHES = {
    "a wrong answer": (
        lambda node: node.server.answers.update({NEW: "five"}),
        "it answered 'five' to 'What is 2+2?', wanted an answer with '4'",
    ),
    "a model that llama.cpp cannot load": (
        lambda node: (
            setattr(node, "words", UNLOADABLE),
            node.server.healthy.update({NEW: False}),
            node.states_of.update({NEW: "failed"}),
        ),
        f"{UNIT} failed to start: unknown model architecture: 'nosuch'",
    ),
    "slower than it was": (
        lambda node: node.server.speeds.update({NEW: 7.9}),
        "it makes 7.9 tokens/s, and 8.0 are the least",
    ),
}


@pytest.mark.parametrize("fault", SWITCHES)
def test_a_model_that_fails_gives_way_to_the_one_before_and_its_release_stays(node, capsys, fault):
    was = {"release": NEW, **IDENTITY, "tokens_per_second": 10.0}
    switched(node, history=[was])
    spoil, why = SWITCHES[fault]
    spoil(node)
    assert gate(node) == 1
    assert (node.server.current(), node.unit_file.read_text()) == (NEW, "old unit")
    assert node.orders.count(f"restart {UNIT}") == 2
    assert rejected(node) is None
    assert why in rejected(node, f"{NEW}-{ATTEMPT}")
    assert good(node)["name"] == "tiny"
    said = capsys.readouterr().out.strip().splitlines()[-1]
    assert said.startswith(f":: model qwen-q4_0 was rejected: {why}")
    assert said.endswith("; tiny serves again")
    # Only what was said since the start can be the cause, and is told.
    assert len(node.since) == 1 + ("unknown" in why)
    assert all(abs(since - time.time()) < 60 for since in node.since)


def test_a_model_is_held_against_its_own_last_figure_with_the_same_release(node):
    mine = {"release": NEW, **IDENTITY, "tokens_per_second": 20.0}
    other = {"release": OLD, **IDENTITY, "tokens_per_second": 9.0}
    switched(node, tokens_per_second=1000.0, history=[other, mine])
    assert gate(node) == 1
    switched(node, tokens_per_second=1000.0, history=[other])
    assert gate(node) == 0


def test_a_model_that_was_never_good_here_has_no_speed_to_be_held_against(node):
    switched(node, tokens_per_second=1000.0)
    assert gate(node) == 0
    assert good(node)["name"] == "qwen-q4_0"
    assert [record["name"] for record in good(node)["history"]] == ["tiny"]
    assert not (node.home / "previous").exists()


def test_the_history_has_each_once_the_last_one_first_and_no_more_than_it_is_to_have(node):
    records = [
        {"release": OLD, **IDENTITY, "model": f"{n}" * 64, "tokens_per_second": 1.0}
        for n in range(9)
    ]
    again = {"release": NEW, **IDENTITY, "tokens_per_second": 9.0}
    switched(node, history=[*records, again, *records])
    assert gate(node) == 0
    history = good(node)["history"]
    assert len(history) == good_record.HISTORY
    assert history[0]["model"] == "e" * 64
    assert not any(good_record.alike(record, {"release": NEW, **IDENTITY}) for record in history)


def test_arguments_that_fail_give_way_too(node, capsys):
    known_good(node, release=NEW, argv="b" * 12, name="qwen-q4_0")
    node.server.healthy[NEW] = False
    node.states_of[NEW] = "failed"
    assert gate(node) == 1
    assert node.unit_file.read_text() == "old unit"
    assert rejected(node, f"{NEW}-{ATTEMPT}")
    said = capsys.readouterr().out.strip().splitlines()[-1]
    assert said.startswith(":: model qwen-q4_0 with its new arguments was rejected: ")


def test_a_release_that_came_with_another_model_is_named_with_it(node, capsys):
    known_good(node, model="e" * 64)
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    assert rejected(node)
    assert f":: release {NEW} with model qwen-q4_0 was rejected: " in capsys.readouterr().out


def test_what_is_good_already_and_fails_is_left_as_it_is(node, capsys):
    known_good(node, release=NEW, unit="new unit")
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    assert (node.server.current(), node.unit_file.read_text()) == (NEW, "new unit")
    assert list((node.home).glob("rejected/*")) == []
    assert "there is no other to go back to" in capsys.readouterr().out


def test_a_model_before_that_is_gone_is_said_and_its_unit_is_not_written(node, capsys, tmp_path):
    switched(node, path=str(tmp_path / "gone.gguf"))
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    assert node.unit_file.read_text() == "new unit"
    assert "gone.gguf, which was good before, is not there any more" in capsys.readouterr().out


def test_a_predecessor_that_is_gone_is_said_and_nothing_is_linked_to_it(node, capsys):
    known_good(node, release=OLDER)
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    assert node.server.current() == NEW
    assert f"{OLDER}, which was good before, is not there any more" in capsys.readouterr().out


def test_a_predecessor_that_fails_too_is_said(node, capsys):
    known_good(node)
    node.server.answers.update({OLD: "nine", NEW: "five"})
    assert gate(node) == 1
    assert f"{OLD} was put back and fails too: it answered 'nine'" in capsys.readouterr().out
    assert node.server.current() == OLD


def test_a_link_that_is_not_the_releases_is_left_for_another_run(node, capsys):
    (node.home / "current").unlink()
    (node.home / "current").symlink_to(f"releases/{OLD}")
    assert gate(node) == 1
    assert f"the current release is releases/{OLD} and not {NEW}" in capsys.readouterr().out
    assert node.orders == []


def test_a_disk_that_takes_no_note_is_said(node, capsys, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device", str(node.home))

    monkeypatch.setattr(good_record, "write", full)
    assert gate(node) == 1
    assert f"{node.home}: No space left on device; fix that" in capsys.readouterr().out


def test_a_port_that_somebody_else_holds_is_told_at_once_and_rejects_nothing(node, capsys):
    known_good(node, release=NEW, model="e" * 64, name="tiny")
    node.cgroup.write_text("0::/user.slice/session-1.scope\n")
    assert gate(node) == 1
    assert node.orders == []
    assert list((node.home).glob("rejected/*")) == []
    port = node.server.http.server_port
    (said,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        rf":: port {port} is held by .+ \(process {os.getpid()}\); end that, or set serving.port to "
        "another one",
        said,
    )


@pytest.mark.parametrize(
    ("bound", "ours", "in_the_way"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("*", "127.0.0.1", True),
        ("[::]", "0.0.0.0", True),
        ("192.168.1.5", "0.0.0.0", True),
        ("192.168.1.5", "127.0.0.1", False),
        ("[::1]", "0.0.0.0", False),
        ("[::1]", "127.0.0.1", False),
    ],
)
def test_only_a_socket_that_keeps_ours_from_being_opened_is_in_the_way(bound, ours, in_the_way):
    assert port_holder.in_the_way(bound, ours) == in_the_way


def test_a_port_that_nobody_has_is_free():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert port_holder.holder("127.0.0.1", port, UNIT) is None


def test_an_order_that_systemd_does_not_take_rejects_nothing(node, capsys):
    known_good(node)
    node.failing = "enable"
    assert gate(node) == 1
    assert f"systemctl enable {UNIT}: no such unit" in capsys.readouterr().out
    assert rejected(node) is None


@pytest.mark.parametrize("moment", ["current", UNIT, f"{NEW}.json"])
def test_a_power_cut_while_going_back_is_mended_by_the_next_run(node, monkeypatch, moment):
    """Each of the three writes is the last that happens; what a boot then starts continues to serve."""
    known_good(node)
    node.server.answers[NEW] = "five"
    rename = os.rename

    def cut(source, target):
        rename(source, target)
        if os.path.basename(target) == moment:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", cut)
    with pytest.raises(KeyboardInterrupt):
        gate(node)
    monkeypatch.setattr(os, "rename", rename)
    assert node.server.current() == OLD
    assert (rejected(node) is not None) == (moment == f"{NEW}.json")
    # The next run links the release again, unless it was noted that it was rejected.
    (node.home / "current").unlink()
    (node.home / "current").symlink_to(f"releases/{NEW}")
    node.unit_file.write_text("new unit")
    assert gate(node) == 1
    assert (node.server.running, node.unit_file.read_text()) == (OLD, "old unit")


def serves_vectors(node):
    """Have the planned unit be one of a server of vectors."""
    node.unit_file.write_text("new unit --embeddings")


def paths(node):
    return [path for path, _ in node.server.asked]


def test_a_server_of_vectors_passes_by_a_vector_and_by_how_fast_it_reads(node):
    serves_vectors(node)
    assert gate(node, expect=None, dimensions=3) == 0
    assert good(node)["answer"] == "a vector of 3 finite numbers"
    assert good(node)["tokens_per_second"] > 0
    assert {*paths(node)} == {"/v1/embeddings"}


def test_a_vector_of_another_width_fails_and_what_answered_before_is_asked_as_it_was(node):
    known_good(node)
    serves_vectors(node)
    assert gate(node, expect="4", dimensions=4) == 1
    assert "its vector has 3 numbers, wanted 4" in rejected(node)
    assert node.unit_file.read_text() == "old unit"
    # It answered questions, and what is expected of vectors is not looked for in its answer.
    assert paths(node)[-1] == "/v1/chat/completions"


def test_a_server_of_vectors_that_was_good_before_is_asked_for_one(node, capsys):
    known_good(node, unit="old unit --embeddings")
    node.server.answers[NEW] = "5"
    assert gate(node) == 1
    assert "wanted an answer with '4'" in rejected(node)
    assert paths(node)[-1] == "/v1/embeddings"
    assert f"{OLD} serves again" in capsys.readouterr().out


def test_a_model_of_another_width_that_was_good_before_still_is(node, capsys):
    known_good(node, unit="old unit --embeddings")
    serves_vectors(node)
    assert gate(node, expect=None, dimensions=4) == 1
    assert f"{OLD} serves again" in capsys.readouterr().out


def several(node, **changes):
    """A gate of a node that serves two models, the second of which is asked by its own name."""
    second = {
        "name": "second-f16",
        "path": str(node.unit_file),
        "expect": None,
        "dimensions": None,
        "setting": "serving.also_expect of second:f16",
    }
    return gate(node, further=[{**second, **changes}])


def names(node):
    return [body.get("model") for _, body in node.server.asked]


def test_each_of_several_models_is_asked_by_its_name_and_the_first_one_last(node):
    assert several(node) == 0
    assert names(node) == ["second-f16", *["qwen-q4_0"] * 4]
    assert good(node)["further"] == [{"name": "second-f16", "path": str(node.unit_file)}]


def test_what_helps_the_model_is_remembered_for_going_back(node, capsys):
    assert gate(node, helpers=["/models/draft.gguf"]) == 0
    assert good(node)["helpers"] == ["/models/draft.gguf"]
    known_good(node, helpers=["/models/draft.gguf"])
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    said = capsys.readouterr().out
    assert "/models/draft.gguf, which was good before, is not there any more" in said


@pytest.mark.parametrize(
    ("content", "expect", "why"),
    [
        (" ", None, "it answered '' to 'What is 2+2?', wanted an answer"),
        ("five", "4", "wanted an answer with '4' (serving.also_expect of second:f16)"),
        (None, None, "its server gave no answer: StatusError: HTTP 500: "),
    ],
)
def test_a_further_model_that_does_not_answer_as_expected_fails_the_gate(
    node, capsys, content, expect, why
):
    known_good(node)
    node.server.of_models["second-f16"] = content
    assert several(node, expect=expect) == 1
    said = capsys.readouterr().out
    assert "model second-f16: " in said
    assert why in said
    assert node.server.running == OLD
    assert "model second-f16: " in rejected(node)


def test_what_llama_server_says_of_a_model_that_it_cannot_load_is_the_cause(node, capsys):
    known_good(node)
    node.words = UNLOADABLE
    node.server.of_models["second-f16"] = None
    assert several(node) == 1
    assert "unknown model architecture: 'nosuch'; " in capsys.readouterr().out


def test_going_back_to_several_models_has_each_of_them_answer(node, capsys):
    before = [{"name": "before-q8_0", "path": str(node.unit_file)}]
    known_good(node, name="first-q8_0", path=str(node.unit_file), further=before)
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    assert names(node)[-2:] == ["before-q8_0", "first-q8_0"]
    assert "serves again" in capsys.readouterr().out


def test_a_file_of_a_further_model_that_is_gone_is_said_and_nothing_is_put_back(node, capsys):
    known_good(node, further=[{"name": "before-q8_0", "path": "/nowhere/before.gguf"}])
    node.server.answers[NEW] = "five"
    assert gate(node) == 1
    assert "/nowhere/before.gguf, which was good before, is not there any more" in (
        capsys.readouterr().out
    )
    assert node.unit_file.read_text() == "new unit"
