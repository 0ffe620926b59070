"""The short programs for nodes: a command, a service, a question; and how programs are put together."""

import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from bramble import remote
from bramble.remote import ask, command, reexec, service

UNIT = "llama-server.service"


# Putting programs together


def test_a_program_is_its_module_with_a_last_line_that_runs_it():
    query = {"argv": ["sh", "-c", "exit 3"], "text": 'it\'s "quoted" \\ and\nbroken, größer'}
    done = subprocess.run(
        [sys.executable, "-Iu", "-"], input=remote.program("command", query), text=True, check=False
    )
    assert done.returncode == 3


def test_the_same_query_makes_the_same_program():
    assert remote.program("service", {"a": 1}) == remote.program("service", {"a": 1})


def test_what_two_modules_import_is_one_module_so_that_an_error_of_the_one_is_caught_by_the_other():
    """build_source raises what build_engine catches: build_tools.BuildError."""
    query = {
        "work": "/nonexistent",
        "release": "/nonexistent/r",
        "ccache": "/nonexistent",
        "source": {"kind": "archive", "upload": "/nonexistent/a", "sha256": "0"},
    }
    text = remote.program("build_engine", query).rpartition("\ntry:\n    code = main(")[0]
    proof = """
assert build_source.build_tools is build_tools is build_proof.build_tools
try:
    build_source.check_sum("/dev/null", "sha256", "0", "engine.source")
except build_tools.BuildError as error:
    print(f"caught: {error}")
"""
    done = subprocess.run(
        [sys.executable, "-Iu", "-"], input=text + proof, text=True, capture_output=True, check=True
    )
    assert done.stdout.startswith("caught: the source archive's sha256 is e3b0c44")


# A command


def test_a_command_that_goes_well_is_quiet(capfd):
    assert command.main({"argv": ["sh", "-c", "echo fine"]}) == 0
    assert capfd.readouterr() == ("", "")


def test_a_command_that_fails_is_named_with_its_words(capfd):
    assert command.main({"argv": ["sh", "-c", "echo out; echo err >&2; exit 5"]}) == 5
    said = capfd.readouterr().err
    assert said.startswith("sh -c ")
    assert "exit code 5\nout\nerr\n" in said


# A service


@pytest.fixture
def systemd(monkeypatch):
    """A systemd that takes every order; `failing` names the one that it does not take."""
    made = SimpleNamespace(orders=[], failing=None)

    def run(argv, **options):
        words = " ".join(argv[1:])
        if argv[0] == "journalctl":
            return SimpleNamespace(stdout="cannot load the model\n")
        made.orders.append(words)
        if made.failing and made.failing in words:
            raise subprocess.CalledProcessError(1, argv, stderr="no such unit\n")
        return SimpleNamespace(stdout="")

    fake = SimpleNamespace(run=run, CalledProcessError=subprocess.CalledProcessError)
    monkeypatch.setattr(service, "subprocess", fake)
    return made


def query(**changes):
    orders = {"reload": True, "enable": True, "restart": True}
    return {"unit": UNIT, **orders, **changes}


def test_a_service_is_reloaded_enabled_and_restarted_in_this_order(systemd):
    assert service.main(query()) == 0
    assert systemd.orders == [
        "daemon-reload",
        f"enable {UNIT}",
        f"reset-failed {UNIT}",
        f"restart {UNIT}",
    ]


def test_only_what_is_asked_is_done(systemd):
    assert service.main(query(reload=False, enable=False, restart=False)) == 0
    assert systemd.orders == []


def test_an_order_that_systemd_does_not_take_is_told_with_the_journal(systemd, capsys):
    systemd.failing = "enable"
    assert service.main(query()) == 1
    said = capsys.readouterr().err
    assert f"systemctl enable {UNIT}: no such unit" in said
    assert "cannot load the model" in said


# A question


@pytest.fixture
def reply():
    """A server on this computer that replies with `reply.text` and notes what it was asked."""
    made = SimpleNamespace(text="{}", status=200, requests=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append((self.path, json.loads(body)))
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(made.text)))
            self.end_headers()
            self.wfile.write(made.text.encode())

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def asked(url, capsys):
    query = {"url": url, "name": "m", "question": "2+2?", "max_tokens": 9, "timeout_s": 60}
    assert ask.main({**query, "task": "chat"}) == 0
    return json.loads(capsys.readouterr().out)


def test_an_answer_has_its_text_speed_and_build(reply, capsys):
    reply.text = json.dumps(
        {
            "choices": [{"message": {"content": "4"}}],
            "timings": {"predicted_per_second": 9.5},
            "system_fingerprint": "b1-abc",
        }
    )
    assert asked(reply.url, capsys) == {"answer": "4", "tokens_per_second": 9.5, "build": "b1-abc"}
    ((path, body),) = reply.requests
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 9)
    assert body["messages"] == [{"role": "user", "content": "2+2?"}]


@pytest.mark.parametrize("text", ["<html>", "{}", "[]", '{"choices": []}', '{"choices": [1]}', "1"])
def test_a_reply_of_another_form_is_a_problem_and_no_failure(reply, capsys, text):
    reply.text = text
    assert list(asked(reply.url, capsys)) == ["problem"]


def test_a_server_that_refuses_the_question_is_a_problem_with_its_words(reply, capsys):
    reply.status, reply.text = 503, "Loading model"
    assert asked(reply.url, capsys) == {"problem": "StatusError: HTTP 503: Loading model"}


def test_where_nothing_listens_there_is_a_problem_and_no_failure(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = asked(f"http://127.0.0.1:{port}", capsys)
    assert found["problem"].startswith("ConnectionRefusedError")


# systemd itself


@pytest.fixture
def manager(monkeypatch):
    """A systemd that is away for a while after its re-execution; a question takes it a second."""
    made = SimpleNamespace(orders=[], away_s=0, refuses=False, now=0)

    def run(argv, **options):
        made.orders.append(" ".join(argv[1:]))
        if argv[1] == "daemon-reexec":
            return SimpleNamespace(returncode=int(made.refuses), stderr="Access denied\n")
        made.now += 1
        return SimpleNamespace(returncode=int(made.now <= made.away_s), stderr="")

    fake_time = SimpleNamespace(monotonic=lambda: made.now, sleep=lambda seconds: None)
    monkeypatch.setattr(reexec, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(reexec, "time", fake_time)
    return made


def test_systemd_is_executed_anew_and_waited_for(manager):
    manager.away_s = 3
    assert reexec.main({"deadline_s": 60}) == 0
    assert manager.orders == ["daemon-reexec", *["show -p Version"] * 4]


def test_a_systemd_that_stays_away_is_said(manager, capsys):
    manager.away_s = 1000
    assert reexec.main({"deadline_s": 60}) == 1
    assert "did not answer again within 60 s" in capsys.readouterr().err


def test_a_systemd_that_refuses_is_said_in_its_words(manager, capsys):
    manager.refuses = True
    assert reexec.main({"deadline_s": 60}) == 1
    assert capsys.readouterr().err == "systemctl daemon-reexec: Access denied\n"
    assert manager.orders == ["daemon-reexec"]
