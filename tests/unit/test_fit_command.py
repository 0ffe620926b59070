"""`bramble fit`: a file's header and an address's, what is refused, and the exit codes."""

import gzip
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from bramble.cli import main
from bramble.models import source
from tests.shapes.models import all_shapes
from tests.shapes.writer import Shape

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "models" / "bramble-demo-q8_0.gguf"
BIG = all_shapes()["llama-3.1-8b-q4_k_m"]
SMALL = all_shapes()["llama-3.2-1b-q4_k_m"]


def run(*words):
    return CliRunner().invoke(main, ["fit", *map(str, words)])


class Server(ThreadingHTTPServer):
    """Serves one body in one way, and keeps what it was asked and how much it could send."""

    daemon_threads = True
    size = None  # what it says of the whole file, if that is not the body

    def __init__(self, body, way):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.way, self.asked, self.sent = body, way, [], 0
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/model.gguf"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_args):
        """Say nothing."""

    def do_GET(self):
        server = self.server
        server.asked.append(dict(self.headers))
        way, size = server.way, server.size or len(server.body)
        if isinstance(way, int):
            self.send_error(way)
            return
        if way == "circle":
            self.send_response(302)
            self.send_header("Location", server.url)
            self.end_headers()
            return
        if way in ("chunked", "packed"):
            self.send_unmeasured(gzip.compress(server.body) if way == "packed" else server.body)
            return
        first, last = map(int, re.match(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        body = server.body if way == "whole" else server.body[first : last + 1]
        self.send_response(200 if way == "whole" else 206)
        if way != "whole":
            start = 5 if way == "other part" else first
            unit = "Bytes " if way == "other spelling" else "bytes"
            self.send_header("Content-Range", f"{unit} {start}-{first + len(body) - 1}/{size}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if way == "breaks off":
            body = body[:5000]
        if way == "trickles":
            while not server.over.wait(0.02):
                self.wfile.write(body[:1])
            return
        try:
            for at in range(0, len(body), 1 << 14):
                server.sent += self.wfile.write(body[at : at + (1 << 14)])
        except ConnectionError:
            return

    def send_unmeasured(self, body):
        """Send the whole as a server does that packs it, or that makes it while it sends."""
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        if self.server.way == "packed":
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.server.way == "packed":
            self.wfile.write(body)
            return
        for at in range(0, len(body), 1000):
            piece = body[at : at + 1000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def serving(body, way="range"):
    server = Server(body, way)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_is_answered_for_people():
    done = run(DEMO, "--board", "pi4-1g")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Yes: with a context of 512 tokens the model takes ")
    assert "  -c 512 -np 1 " in done.stdout


def test_yes_and_tight_end_with_0_and_no_with_1(tmp_path):
    big = BIG.write(tmp_path)
    for board, ctx, verdict, code in [
        ("pi5-8g", 2048, "yes", 0),
        ("pi5-8g", 20480, "tight", 0),
        ("pi4-4g", 2048, "no", 1),
    ]:
        done = run(big, "--board", board, "--ctx", ctx, "--json")
        assert (json.loads(done.stdout)["verdict"], done.exit_code) == (verdict, code)


def test_what_cannot_be_told_ends_with_3_and_a_claim_is_judged_all_the_same(tmp_path):
    metadata = {
        key.replace("llama.", "newest."): value for key, value in SMALL.metadata.items()
    } | {"general.architecture": "newest"}
    file = replace(SMALL, name="newest", metadata=metadata).write(tmp_path)
    fits = run(file, "--board", "pi4-8g")
    assert fits.exit_code == 0, fits.output
    assert fits.stdout.startswith("Tight: with a context of 2048 tokens the model takes at most ")
    done = run(file, "--board", "pi4-2g", "--ctx", "131072", "--claim", "900")
    assert done.exit_code == 1  # the claim
    assert "Impossible: 900 tokens/s" in done.stdout
    done = run(file, "--board", "pi4-2g", "--ctx", "131072", "--claim", "3")
    assert done.exit_code == 3
    first, *rows = done.stdout.splitlines()
    assert first.startswith("Cannot tell: with a context of 131072 tokens the model takes at most ")
    assert "does not know the architecture newest, so it would not load the file" in first
    assert any(row.startswith("  at most in all") for row in rows)
    assert "Plausible: 3 tokens/s" in done.stdout
    reported = json.loads(run(file, "--board", "pi4-2g", "--ctx", "131072", "--json").stdout)
    assert (reported["verdict"], bool(reported["doubt"])) == ("unknown", True)


def test_a_context_beyond_the_trained_one_is_told():
    done = run(DEMO, "--board", "pi4-4g", "--ctx", "4096")
    assert "A context of 4096 tokens: the model was trained for 512, so llama-server" in done.stdout
    assert "was trained for" not in run(DEMO, "--board", "pi4-4g").stdout


def test_memory_can_be_given_instead_of_a_board():
    done = run(DEMO, "--memory-mib", 3791, "--json")
    board = run(DEMO, "--board", "pi4-4g", "--json")
    assert json.loads(done.stdout)["available_mib"] == json.loads(board.stdout)["available_mib"]


def test_memory_can_be_kept_for_other_programs():
    whole, less = (
        json.loads(run(DEMO, "--board", "pi4-4g", "--json", *more).stdout)
        for more in ((), ("--reserve-mib", 1000))
    )
    assert less["available_mib"] == whole["available_mib"] - 1000
    assert less["reserve_mib"] == whole["reserve_mib"] + 1000


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--board", "pi4-4g", "--memory-mib", "4000"),
        ("--board", "pi9"),
        ("--memory-mib", "0"),
        ("--board", "pi4-4g", "--ctx", "0"),
    ],
)
def test_wrong_usage_ends_with_2(words):
    done = run(DEMO, *words)
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("way", ["range", "whole", "other spelling", "chunked", "packed"])
def test_an_address_gives_the_same_answer_as_the_file(way):
    with serving(DEMO.read_bytes(), way) as server:
        done = run(server.url, "--board", "pi4-4g", "--json")
    assert (done.exit_code, done.stdout) == (0, run(DEMO, "--board", "pi4-4g", "--json").stdout)
    assert len(server.asked) == 1
    assert server.asked[0]["Range"] == "bytes=0-16777215"
    assert "Authorization" not in server.asked[0]


def test_a_real_size_of_header_is_answered_within_a_second(monkeypatch):
    """As long as Qwen's: 152 000 tokens, 5 MB of vocabulary, of an address that has 2 GB."""
    tokens = [f"token {n:026}" for n in range(152_000)]
    metadata = {**BIG.metadata, "tokenizer.ggml.tokens": tokens}
    head = Shape("big", metadata, BIG.tensors).header()
    assert len(head) > 5 << 20
    with serving(head) as server:
        monkeypatch.setattr(Server, "size", 8 << 30)
        # This thread's own time: what else runs on the computer must not decide.
        begun = time.thread_time()
        done = run(server.url, "--board", "pi4-8g")
        spent = time.thread_time() - begun
    assert done.exit_code == 0, done.stderr
    assert spent < 1


@pytest.mark.parametrize("way", ["range", "whole"])
def test_reading_ends_with_the_header_and_not_with_the_file(tmp_path, way):
    shape = Shape("big", {**BIG.metadata}, [*BIG.tensors[:1], BIG.tensors[-1]])
    body = (shape.header() + bytes(48 << 20))[: 48 << 20]
    with serving(body, way) as server:
        begun = time.monotonic()
        with pytest.raises(source.SourceError, match="cut off"):
            source.header(server.url)
        assert time.monotonic() - begun < 5
    # What was sent besides lay in the buffers of both sockets.
    assert server.sent < 16 << 20


def test_a_header_that_takes_many_reads_is_read():
    texts = ["x" * 50] * 20_000
    shape = Shape("long", {**BIG.metadata, "tokenizer.ggml.tokens": texts}, BIG.tensors[:1])
    body = shape.header() + bytes(1 << 20)
    with serving(body) as server, pytest.raises(source.SourceError, match="its header describes"):
        source.header(server.url)
    assert len(server.asked) == 1


def refused(model):
    done = run(model, "--board", "pi4-4g")
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr


FILES = {
    "cut off in the header": (DEMO.read_bytes()[:20000], "within its header: it is cut off"),
    "cut off in the weights": (DEMO.read_bytes()[:-1], "it is cut off"),
    "empty": (b"", "ends after 0 bytes"),
    "no model": (b"PK\3\4" + bytes(100), "no GGUF model"),
    "web page": (b"<!doctype html><html>", "web page"),
    "architecture that would move the cursor": (
        Shape("x", {"general.architecture": "\x1b[2Jx"}, [("a", (32,), "F32")]).header()
        + bytes(128),
        "?[2Jx.block_count is None",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_whole_model_is_refused(tmp_path, case):
    data, words = FILES[case]
    file = tmp_path / "model.gguf"
    file.write_bytes(data)
    said = refused(file)
    assert words in said
    assert "\x1b" not in said


@pytest.mark.parametrize("case", [case for case in FILES if case != "empty"])
def test_an_address_of_what_is_no_whole_model_is_refused(case):
    data, words = FILES[case]
    with serving(data) as server:
        assert words in refused(server.url)


def test_a_folder_and_a_file_that_is_not_there_are_refused(tmp_path):
    assert "is no file" in refused(tmp_path)
    assert "is no file" in refused(tmp_path / "none.gguf")
    assert "cannot be read: File name too long" in refused("a" * 300 + ".gguf")
    assert refused("a" * 5000)


def test_a_name_that_nothing_has_is_answered_with_the_nearest():
    said = refused("qwen2.5-3b-instrct:q4_k_m")
    assert "is no file; did you mean 'qwen2.5-3b-instruct:q4_k_m' or '" in said


ANSWERS = {
    401: "wants a login",
    403: "without a login",
    404: "no such file",
    416: "is empty",
    429: "refuses further requests for now; try again in five minutes",
    500: "try again",
    "circle": "redirects in a circle",
    "other part": "another part than the file's start",
    "breaks off": "cannot be read",
}


@pytest.mark.parametrize("way", ANSWERS)
def test_an_answer_that_is_not_the_file_is_refused(way):
    with serving(DEMO.read_bytes(), way) as server:
        assert ANSWERS[way] in refused(f"{server.url}?token=secret-word")
        assert "secret-word" not in refused(f"{server.url}?token=secret-word")


def test_an_address_that_sends_a_byte_now_and_then_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(source, "DEADLINE_S", 0.3)
    begun = time.monotonic()
    with serving(DEMO.read_bytes(), "trickles") as server:
        assert "is too slow" in refused(server.url)
    assert time.monotonic() - begun < 5


def test_an_address_that_nobody_answers_is_refused():
    with serving(b"") as server:
        url = server.url
    assert f"{url} cannot be read" in refused(url)


@pytest.mark.parametrize("url", ["http://[", "http://", "http://a b/", "https://:0x/"])
def test_an_address_that_is_none_is_refused(url):
    assert refused(url)


def test_a_password_in_an_address_is_refused_and_not_repeated():
    said = refused("http://me:secret-word@127.0.0.1/model.gguf")
    assert "name or password" in said
    assert "secret-word" not in said


@pytest.mark.parametrize("option", ["--claim", "--bandwidth"])
def test_a_speed_that_is_no_number_is_refused(option):
    done = run(DEMO, "--board", "pi4-4g", option, "nan")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"'{option}': nan is no number" in done.stderr


def test_a_header_without_an_end_is_given_up_at_the_limit():
    endless = Shape("x", {"a": "y" * 40_000_000}, [("t", (32,), "F32")]).header()
    with serving(endless) as server:
        assert "more than 16 MiB" in refused(server.url)
