"""The start of a file at an address is handed over as it is, or why it cannot be."""

import base64
import json
import threading
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from scripted_server import Noise, Status, serving

from bramble.remote import read_start

CONTENT = b"GGUF" + bytes(range(256)) * 20_000


@pytest.fixture
def server():
    with serving(CONTENT) as made:
        yield made


@pytest.fixture
def reported(capsys):
    """What the program says of a part."""

    def ask(url, start, size):
        assert read_start.main({"url": url, "start": start, "size": size}) == 0
        return json.loads(capsys.readouterr().out)

    return ask


def data(said):
    return zlib.decompress(base64.b64decode(said["data"]))


def test_a_beginning_comes_with_the_files_size(reported, server):
    said = reported(server.url, 0, 70_000)
    assert data(said) == CONTENT[:70_000]
    assert said["whole"] == len(CONTENT)
    assert data(reported(server.url, 0, 1 << 24)) == CONTENT


class Quiet(SimpleHTTPRequestHandler):
    """Python's own server, which knows no ranges."""

    def log_message(self, *arguments):
        pass


def test_a_server_without_ranges_gives_the_same(reported, tmp_path):
    (tmp_path / "a.gguf").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        said = reported(f"http://127.0.0.1:{http.server_port}/a.gguf", 5, 100_000)
        http.shutdown()
        thread.join()
    assert data(said) == CONTENT[5:100_005]
    assert said["whole"] == len(CONTENT)


@pytest.mark.parametrize("step", [Status(404), Status(403), Noise()])
def test_what_cannot_be_read_is_said(reported, server, step):
    server.script = [step]
    assert reported(server.url, 0, 1 << 24)["problem"]


def test_an_address_that_nobody_answers_is_said(reported):
    with serving(b"") as server:
        url = server.url
    assert "refused" in reported(url, 0, 1)["problem"]
    assert reported("no address", 0, 1)["problem"]


def test_one_that_sends_a_byte_now_and_then_is_given_up(reported, server, monkeypatch):
    monkeypatch.setattr(read_start, "DEADLINE_S", -1)
    assert "not within" in reported(server.url, 0, 100)["problem"]
