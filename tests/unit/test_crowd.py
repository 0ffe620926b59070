"""Crowds and streams count what servers do: whole answers, refusals, cuts, and who waits for whom."""

import json
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.nodes import crowd
from tests.nodes.crowd import Borne, Look
from tests.nodes.streams import Way, ask

sys.path.append(str(Path(__file__).parents[2] / "tests" / "bench"))
import edge
import exposed
import ways
from clones import BenchError

KEY = "brk_a-key-of-this-test-and-of-no-other"
QUIET = Look(0.01, 0.2, {"haproxy": 20.0, "llama-server": 100.0}, "1 2")


class Server(ThreadingHTTPServer):
    """One slot, and streams of three parts; what it is told to do else is in its attributes."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.slot, self.cuts, self.took_s, self.bodies = threading.Lock(), False, 0.0, []
        self.keys, self.leaves, self.tells = set(), False, True

    def way(self, name="local", key=None):
        return Way(name, "127.0.0.1", self.server_port, key)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        """Say nothing."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.keys.add(self.headers.get("Authorization"))
        if not self.server.slot.acquire(blocking=False):
            self.send_response(503)
            if self.server.tells:
                self.send_header("Retry-After", "30")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        try:
            self.stream()
        finally:
            self.server.slot.release()

    def stream(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        threading.Event().wait(self.server.took_s)
        for text in ("It", " is", " 4"):
            self.chunk("data: " + json.dumps({"choices": [{"text": text}]}))
        if self.server.cuts:
            self.close_connection = True
            return
        self.chunk("data: [DONE]")
        self.wfile.write(b"0\r\n\r\n")
        # As llama-server does, which tells of keeping the connection.
        self.close_connection = self.server.leaves

    def chunk(self, line):
        data = f"{line}\n\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


@contextmanager
def serving():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(60)


@pytest.fixture
def server():
    with serving() as server:
        yield server


def test_a_stream_is_read_with_the_time_of_its_first_part(server):
    server.took_s = 0.1
    answer = ask(server.way(key=KEY), {"prompt": "x"})
    assert (answer.outcome, answer.text) == ("200", "It is 4")
    assert 0.1 <= answer.first_s <= answer.whole_s
    assert server.bodies == [{"prompt": "x", "stream": True}]
    assert server.keys == {f"Bearer {KEY}"}
    assert KEY not in repr(server.way(key=KEY))


def test_a_stream_without_its_end_is_cut(server):
    server.cuts = True
    assert ask(server.way(), {}).outcome == "cut"


@pytest.mark.parametrize(("tells", "said"), [(True, "503"), (False, "503 without Retry-After")])
def test_who_is_full_says_when_to_come_again(server, tells, said):
    server.tells = tells
    with server.slot:
        assert ask(server.way(), {}).outcome == said


def test_nobody_there_is_no_answer(server):
    way = server.way()
    server.server_close()
    assert ask(way, {}).outcome == "no answer"


def test_a_kept_connection_is_used_again(server):
    connection = server.way().connect()
    assert ask(server.way(), {}, connection).outcome == "200"
    kept = connection.sock
    assert ask(server.way(), {}, connection).outcome == "200"
    assert connection.sock is kept
    connection.close()


def test_a_kept_connection_that_the_server_ended_is_made_again(server):
    server.leaves = True
    connection = server.way().connect()
    assert [ask(server.way(), {}, connection).outcome for _ in range(3)] == ["200"] * 3
    connection.close()


def test_a_crowd_counts_answers_refusals_and_looks(server, monkeypatch):
    monkeypatch.setattr(crowd, "AGAIN_S", 0.02)
    monkeypatch.setattr(crowd, "EVERY_S", 0.05)
    server.took_s = 0.02
    several = [server.way(key=KEY), server.way(key=f"{KEY}-2")]
    borne = crowd.press(several, {}, 1, lambda: QUIET, clients=6, expect="4")
    assert set(borne.outcomes) == {"200", "503"}
    assert borne.outcomes["200"] >= 2
    assert len(borne.looks) > 2
    assert borne.is_undisturbed
    assert server.keys == {f"Bearer {KEY}", f"Bearer {KEY}-2"}


def test_an_answer_without_the_expected_text_is_wrong(server):
    borne = crowd.press([server.way()], {}, 0.2, lambda: QUIET, clients=1, expect="5")
    # Its slot may still be taken when the client comes again.
    assert set(borne.outcomes) - {"503"} == {"wrong"}


def test_a_crowd_ends_where_nobody_can_log_in(server):
    def looking():
        if server.bodies:
            raise TimeoutError("no login")
        return QUIET

    with pytest.raises(TimeoutError, match="no login"):
        crowd.press([server.way()], {}, 60, looking, clients=2)


def test_memory_is_that_of_all_processes_of_a_program():
    said = "haproxy          10240\nllama-server    51200\nhaproxy          20480"
    assert crowd.resident_mib(said) == {"haproxy": 30.0, "llama-server": 50.0}
    later = Look(0.5, 2.0, {"haproxy": 25.0, "llama-server": 90.0}, "1 3")
    borne = Borne({"200": 3}, [QUIET, later])
    assert (borne.most_mib("haproxy"), borne.grown_mib("haproxy")) == (25.0, 5.0)
    assert not borne.is_undisturbed
    said = edge.loads({"lan": borne})
    assert "RESTARTED" in said
    assert "2.50 of 2 s at most" in said
    assert "BEYOND" in said
    assert "within" in edge.loads({"lan": Borne({"200": 3}, [QUIET])})


def test_ways_are_compared_round_by_round_and_judged_by_what_is_promised(server):
    found = ways.rounds_of([server.way(), server.way("lan", KEY)], 2, 2)
    assert [*map(set, found)] == [{"local", "lan"}] * 2
    # Each round and the one before that does not count: three requests of each way.
    assert len(server.bodies) == 18
    slow = [
        {"local": ways.Turn(10, 10, 1.0), "lan": ways.Turn(14, 11, 0.99)},
        {"local": ways.Turn(20, 10, 1.0), "lan": ways.Turn(24, 11, 0.99)},
    ]
    assert ways.cost("lan", slow).is_within
    assert "lan: 4.0 of 5 ms, 1.0% of 2%: within" in edge.speeds(slow)
    for turn in (ways.Turn(16, 10, 1.0), ways.Turn(10, 16, 1.0), ways.Turn(10, 10, 0.97)):
        beyond = ways.cost("lan", [{"local": ways.Turn(10, 10, 1.0), "lan": turn}])
        assert not beyond.is_within


def test_a_way_that_does_not_answer_cannot_be_measured(server):
    server.cuts = True
    with pytest.raises(BenchError, match="lan: an answer was cut"):
        ways.turn(server.way("lan"), 1)


def test_whoever_leaves_is_gone_before_the_next_one_asks(server):
    server.took_s = 0.3
    begun = time.monotonic()
    with pytest.raises(BenchError, match="503"):
        # This double goes on with what nobody reads, so that its only slot is taken.
        ways.left_by([server.way("article")], 1)
    assert time.monotonic() - begun > 0.3
    prompts = [body["prompt"] for body in server.bodies]
    assert [len(prompt) for prompt in prompts] == [ways.LONG_TOKENS, ways.LONG_TOKENS, 12]
    assert prompts[0] != prompts[1]


def test_the_articles_unit_is_the_articles_but_for_program_model_and_port():
    unit = exposed.UNIT.format(program="P", model="M", port=8080).replace("\\\n  ", "")
    said = "P -m M --host 0.0.0.0 --port 8080 --ctx-size 2048 --n-predict 512 --cache-prompt"
    assert f"ExecStart={said}\nUser=pi\nRestart=on-failure\nRestartSec=5\n" in unit
