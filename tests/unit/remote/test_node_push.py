"""Who is told of what a node found: real HTTP on the loopback, and a secret that is nowhere else."""

import json
import os
import socket
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from bramble.remote import program, push, push_channels
from tests.unit.remote.receiver import receiving

CANARY = "CanaryOfThisVeryTest"
WELL = [{"check": "server_is_healthy", "ok": True, "said": "/health is 200"}]
ILL = [{"check": "server_is_healthy", "ok": False, "said": "/health is not 200"}]
UNKNOWN = [{"check": "server_is_healthy", "ok": None, "said": "not asked"}]


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


class Node:
    """A node whose program is run as the unit runs it."""

    def __init__(self, folder, receiver):
        self.folder, self.secrets, self.state = folder, folder / "secrets", folder / "kept"
        for made in (self.secrets, self.state):
            made.mkdir()
        self.receiver, self.channels, self.status = receiver, [], {}
        self.found(WELL)

    def has(self, kind, secret=None, **more):
        self.channels.append({"kind": kind, **more})
        secret = f"{self.receiver.url}/{CANARY}" if secret is None else secret
        (self.secrets / kind).write_text(f"{secret}\n")

    def found(self, checks, age_s=0):
        self.status = {
            "host": "pi5-a",
            "at_s": time.time() - age_s,
            "interval_s": 60,
            "checks": checks,
        }

    def run(self):
        """Run the very text that a node has; what the receiver got meanwhile, the code, the words."""
        before = len(self.receiver.got)
        for name, made in (("plan", {"channels": self.channels}), ("status", self.status)):
            (self.folder / f"{name}.json").write_text(json.dumps(made))
        query = {name: str(self.folder / f"{name}.json") for name in ("plan", "status")}
        file = self.folder / "push.py"
        file.write_text(program("push", query))
        done = subprocess.run(
            [sys.executable, "-I", str(file)],
            env={
                "PATH": os.environ["PATH"],
                "CREDENTIALS_DIRECTORY": str(self.secrets),
                "STATE_DIRECTORY": str(self.state),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert CANARY not in done.stdout + done.stderr
        return self.receiver.got[before:], done.returncode, done.stderr

    def runs(self, checks, times=2):
        """Find the same for a few runs; all that was received."""
        self.found(checks)
        return [got for _ in range(times) for got in self.run()[0]]


@pytest.fixture
def node(tmp_path, receiver):
    return Node(tmp_path, receiver)


def test_a_node_that_was_always_well_tells_nobody(node):
    node.has("webhook")
    assert node.runs(WELL, 3) == []


def test_a_change_is_told_once_when_it_held_for_two_runs(node):
    node.has("webhook")
    node.runs(WELL)
    assert node.runs(ILL, 1) == []
    ((method, path, headers, body),) = node.runs(ILL, 1)
    assert (method, path) == ("POST", f"/{CANARY}")
    assert headers["Content-Type"] == "application/json"
    message = json.loads(body)
    assert message["problems"] == [{"check": "server_is_healthy", "said": "/health is not 200"}]
    assert (message["host"], message["well"]) == ("pi5-a", False)
    assert node.runs(ILL, 2) == []
    ((_, _, _, body),) = node.runs(WELL, 3)
    assert json.loads(body)["well"] is True


def test_what_came_and_went_within_a_run_is_told_to_nobody(node):
    node.has("webhook")
    for _ in range(2):
        assert node.runs(ILL, 1) == []
        assert node.runs(WELL, 1) == []


def test_what_could_not_be_told_is_no_change(node):
    node.has("webhook")
    assert node.runs(UNKNOWN, 3) == []


def test_ntfy_gets_a_title_a_priority_and_the_sentences(node):
    node.has("ntfy")
    ((method, path, headers, body),) = node.runs(ILL)
    assert (method, path) == ("POST", f"/{CANARY}")
    assert (headers["Title"], headers["Priority"]) == ("pi5-a: 1 of its checks fail", "high")
    assert body == "server_is_healthy: /health is not 200"


def test_a_bot_of_telegram_writes_to_the_chat(node, receiver):
    node.has("telegram", f"123:{CANARY}", chat="-100", api=receiver.url)
    ((method, path, _, body),) = node.runs(ILL)
    assert (method, path) == ("POST", f"/bot123:{CANARY}/sendMessage")
    said = json.loads(body)
    assert said["chat_id"] == "-100"
    assert said["text"].startswith("pi5-a: 1 of its checks fail\nserver_is_healthy")


def test_kuma_is_told_up_or_down_in_every_run_and_keeps_its_own_words(node, receiver):
    node.has("kuma", f"{receiver.url}/api/push/{CANARY}?status=up&msg=OK&ping=&mine=1")
    up, again = node.runs(WELL)
    assert up[:2] == again[:2]
    (down,) = node.runs(ILL, 1)
    path, asked = urlsplit(down[1]).path, parse_qs(urlsplit(down[1]).query)
    assert (down[0], path) == ("GET", f"/api/push/{CANARY}")
    assert asked == {
        "status": ["down"],
        "msg": ["server_is_healthy: /health is not 200"],
        "mine": ["1"],
    }


def test_a_heartbeat_comes_in_every_run_whatever_was_found(node):
    node.has("heartbeat")
    assert [got[:2] for got in node.runs(ILL, 2)] == [("GET", f"/{CANARY}")] * 2


def test_a_node_that_stopped_watching_itself_has_no_heartbeat_and_says_why(node):
    node.has("heartbeat")
    node.has("webhook")
    told = []
    for _ in range(2):
        node.found(WELL, age_s=4000)
        told += node.run()[0]
    ((_, _, _, body),) = told
    (problem,) = json.loads(body)["problems"]
    assert problem["check"] == push.WATCHING
    assert "67 minutes ago" in problem["said"]


def test_a_channel_that_failed_is_told_in_a_later_run_and_the_others_are_not_told_twice(node):
    node.has("webhook")
    node.has("ntfy", "http://127.0.0.1:1/")
    node.found(ILL)
    node.run()
    got, code, said = node.run()
    assert (len(got), code) == (1, 1)
    assert said.startswith("ntfy: ")
    node.secrets.joinpath("ntfy").write_text(node.receiver.url)
    got, code, said = node.run()
    assert [entry[2].get("Title") for entry in got] == ["pi5-a: 1 of its checks fail"]
    assert (code, said) == (0, "")


def test_a_secret_that_was_not_handed_over_is_told_by_its_channel(node):
    node.has("webhook")
    (node.secrets / "webhook").unlink()
    node.found(ILL)
    node.run()
    assert node.run()[1:] == (1, "webhook: there is no readable secret of it\n")


def test_a_node_that_has_not_watched_itself_tells_that_to_its_unit(node):
    node.status = {}
    got, code, said = node.run()
    assert (got, code) == ([], 1)
    assert "the node has not watched itself" in said


def test_the_state_is_written_where_it_changed_and_by_nobody_else_read(node):
    node.has("webhook")
    node.runs(ILL)
    file = node.state / push.STATE
    before = file.stat()
    assert before.st_mode & 0o777 == 0o600
    node.runs(ILL)
    assert file.stat().st_ino == before.st_ino


# One delivery


def sent(receiver, codes, secret=None):
    """What came of a delivery to a receiver that answers so: the problem, the tries, the pauses."""
    receiver.codes[:] = codes
    pauses, problem = [], None
    message = push.message("pi5-a", {"a": "b"}, 1)
    try:
        address = secret or f"{receiver.url}/{CANARY}"
        push_channels.send({"kind": "webhook"}, address, message, pauses.append)
    except push_channels.PushError as error:
        problem = str(error)
        assert CANARY not in problem
    return problem, len(receiver.got), len(pauses)


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_a_receiver_that_may_recover_is_asked_again_within_bounds(receiver, code):
    assert sent(receiver, [code]) == (None, 2, 1)
    receiver.got.clear()
    assert sent(receiver, [code] * 9) == (f"HTTP {code}", push_channels.TRIES, 2)


@pytest.mark.parametrize("code", [400, 401, 404, 410])
def test_a_receiver_that_refuses_is_not_asked_again(receiver, code):
    assert sent(receiver, [code] * 9) == (f"HTTP {code}", 1, 0)


def test_nobody_is_followed_to_another_address(receiver):
    assert sent(receiver, [302]) == ("HTTP 302", 1, 0)
    assert [path for _, path, _, _ in receiver.got] == [f"/{CANARY}"]


def test_a_receiver_that_says_nothing_is_given_up(receiver, monkeypatch):
    monkeypatch.setattr(push_channels, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/{CANARY}"
        problem, _, pauses = sent(receiver, [], address)
    assert (problem, pauses) == ("TimeoutError", push_channels.TRIES - 1)


@pytest.mark.parametrize(
    "secret", [CANARY, f"file:///etc/{CANARY}", f"ftp://{CANARY}/", f"http://[{CANARY}", "http://"]
)
def test_a_secret_that_is_no_address_is_not_repeated(receiver, secret):
    problem, tries, _ = sent(receiver, [], secret)
    assert problem is not None
    assert tries == 0


def test_a_secret_with_a_blank_in_it_goes_nowhere(receiver):
    problem, tries, _ = sent(receiver, [], f"{receiver.url}/{CANARY} x\r\ny: z")
    assert problem == "it did not answer with HTTP, or its secret is no address"
    assert tries == 0


def test_a_proxy_of_the_environment_is_not_used(receiver, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert sent(receiver, [])[0] is None
