"""A node gives others a file that it has, or that is still arriving, and ends by itself."""

import contextlib
import hashlib
import json
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from bramble import node
from bramble.node import download, fetch_model, follow, pass_on, start_passing

CONTENT = b"GGUF" + random.Random(20261122).randbytes(3 * 1024**2 + 77)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WAIT_S = 20


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pass_on, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(pass_on, "PATIENCE_S", 0.5)


@contextlib.contextmanager
def passing(path, size):
    server = pass_on.Server("127.0.0.1", str(path), size)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT_S)


def get(url, start=0):
    """The status, headers and body of an answer."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=WAIT_S) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, b""


def test_a_whole_file_is_given_from_any_byte_on(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    for size in (len(CONTENT), None):
        with passing(path, size) as server:
            assert get(server.url())[2] == CONTENT
            status, headers, body = get(server.url(), 1000)
            assert (status, body) == (206, CONTENT[1000:])
            last = len(CONTENT) - 1
            assert headers["Content-Range"] == f"bytes 1000-{last}/{len(CONTENT)}"
            status, headers, _ = get(server.url(), len(CONTENT))
            assert (status, headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


def test_nothing_else_is_given(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    with passing(path, len(CONTENT)) as server:
        root = server.url().rpartition("/")[0]
        assert len(server.name) == 23
        for other in ("", "/model.gguf", f"{server.name}x", f"{server.name}/../model.gguf"):
            assert get(f"{root}{other}")[0] == 404


def test_a_file_that_arrives_is_given_as_it_arrives(tmp_path):
    path, part = tmp_path / "model.gguf", tmp_path / "model.gguf.part"
    half = len(CONTENT) // 2
    part.write_bytes(CONTENT[:half])
    with passing(path, len(CONTENT)) as server:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(server.url(), timeout=WAIT_S) as answer:
            assert answer.headers["Content-Length"] == str(len(CONTENT))
            assert answer.read(half) == CONTENT[:half]
            with part.open("ab") as file:
                file.write(CONTENT[half:])
            part.rename(path)
            assert answer.read() == CONTENT[half:]


def test_a_part_of_unknown_size_and_a_file_of_another_size_are_not_given(tmp_path):
    path, part = tmp_path / "model.gguf", tmp_path / "model.gguf.part"
    part.write_bytes(CONTENT)
    with passing(path, None) as server:
        status, headers, _ = get(server.url())
        assert (status, headers["Retry-After"]) == (503, "1")
    part.unlink()
    path.write_bytes(CONTENT[:-1])
    with passing(path, len(CONTENT)) as server:
        assert get(server.url())[0] == 503


@pytest.mark.parametrize("end", ["unlink", "truncate", "stand still"])
def test_a_part_that_does_not_go_on_ends_the_answer(tmp_path, end):
    part = tmp_path / "model.gguf.part"
    part.write_bytes(CONTENT[:9000])
    with passing(tmp_path / "model.gguf", len(CONTENT)) as server:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(server.url(), timeout=WAIT_S) as answer:
            assert answer.read(9000) == CONTENT[:9000]
            if end == "unlink":
                part.unlink()
            elif end == "truncate":
                part.write_bytes(CONTENT[:10])
            assert answer.read1(10) == b""


def test_more_takers_than_it_serves_are_put_off(tmp_path, monkeypatch):
    monkeypatch.setattr(pass_on, "MOST_TAKERS", 1)
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    with passing(path, len(CONTENT)) as server:
        assert server.take(1)
        assert get(server.url())[0] == 503
        server.take(-1)
        assert get(server.url())[0] == 200


def test_a_chain_of_nodes_has_the_file_by_one_reading_of_its_beginning(tmp_path, monkeypatch):
    """Three nodes take from each other while the first still receives; each verifies for itself."""
    clock = {name: getattr(time, name) for name in ("monotonic", "gmtime", "strftime")}
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=lambda s: None, **clock))
    folders = [tmp_path / str(n) for n in range(4)]
    for folder in folders:
        folder.mkdir()
    first = folders[0] / "model.gguf.part"
    first.touch()
    codes = {}

    def fetch(number, url):
        source = {"url": url, "name": "n", "direct": True}
        codes[number] = fetch_model.main(
            {
                "path": str(folders[number] / "model.gguf"),
                "sha256": SHA256,
                "size_bytes": len(CONTENT),
                "upload": None,
                "sources": [source],
            }
        )

    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(passing(folder / "model.gguf", len(CONTENT))) for folder in folders
        ]
        threads = [
            threading.Thread(target=fetch, args=(n, servers[n - 1].url())) for n in range(1, 4)
        ]
        for thread in threads:
            thread.start()
        with first.open("ab", buffering=0) as file:
            for at in range(0, len(CONTENT), 500_000):
                file.write(CONTENT[at : at + 500_000])
        for thread in threads:
            thread.join(WAIT_S)
    assert codes == {1: 0, 2: 0, 3: 0}
    assert [(f / "model.gguf").read_bytes() == CONTENT for f in folders[1:]] == [True] * 3


def test_it_ends_when_nobody_wants_anything_for_a_while(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pass_on, "IDLE_S", 0)
    query = {"path": str(tmp_path / "x"), "size_bytes": None, "address": "127.0.0.1"}
    assert pass_on.main(query) == 0
    said = json.loads(capsys.readouterr().out.removeprefix(":: "))
    assert said["url"].startswith("http://127.0.0.1:")


def test_it_runs_as_it_is_sent(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    query = {"path": str(path), "size_bytes": None, "address": "127.0.0.1"}
    process = subprocess.Popen(
        [sys.executable, "-Iu", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write(node.program("pass_on", query))
    process.stdin.close()
    try:
        url = json.loads(process.stdout.readline().removeprefix(":: "))["url"]
        assert get(url)[2] == CONTENT
    finally:
        process.kill()
        process.wait()


# Starting it


@pytest.fixture
def units(tmp_path, monkeypatch):
    """A systemd that runs no unit, and writes the log that a test wants."""
    made = SimpleNamespace(log=':: {"url": "http://x/y"}\n', runs=False, started=0)

    def attach(unit, folder, program, properties):
        made.started += 1
        with open(f"{folder}/log", "w", encoding="utf-8") as log:
            log.write(made.log)

    monkeypatch.setattr(follow, "STEPS", str(tmp_path))
    monkeypatch.setattr(follow, "attach", attach)
    monkeypatch.setattr(follow, "is_running", lambda unit: made.runs)
    monkeypatch.setattr(start_passing, "READY_S", 0.2)
    return made


def start(whole=None):
    query = {"unit": "bramble-x", "program": "", "properties": {}, "whole": whole}
    return start_passing.main(query)


def test_where_the_file_can_be_had_is_the_answer(units, capsys):
    assert start() == 0
    assert node.answer(capsys.readouterr().out) == {"url": "http://x/y"}


@pytest.mark.parametrize("runs", [True, False])
def test_a_program_that_says_nothing_is_told_with_its_log(units, capsys, runs):
    units.log, units.runs = "OSError: cannot assign requested address\n", runs
    assert start() == 1
    assert "cannot assign" in capsys.readouterr().err


def test_a_file_that_is_gone_is_not_passed_on(units, tmp_path, capsys):
    assert start(str(tmp_path / "gone.gguf")) == 1
    assert "gone.gguf is not there" in capsys.readouterr().err
    assert units.started == 0
