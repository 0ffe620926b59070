"""A node gives others a file that it has, or that is still arriving, and ends by itself."""

import contextlib
import hashlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from bad_neighbours import asking_without_an_end, peak_kib, threads

from bramble import remote
from bramble.remote import download, fetch_model, follow, pass_on, start_passing

CONTENT = b"GGUF" + random.Random(20261122).randbytes(3 * 1024**2 + 77)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WAIT_S = 20


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pass_on, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(pass_on, "PATIENCE_S", 0.5)


def let_in(folder, *addresses):
    """The file that says who may have it."""
    path = folder / "peers"
    path.write_text(json.dumps(addresses))
    return str(path)


@contextlib.contextmanager
def passing(path, size):
    peers = let_in(path.parent, "127.0.0.1")
    server = pass_on.Server("127.0.0.1", str(path), size, peers)
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


def asked_of(path):
    """What the program is asked."""
    peers = str(path.parent / "peers")
    if not os.path.exists(peers):
        let_in(path.parent, "127.0.0.1")
    return {"path": str(path), "size_bytes": None, "address": "127.0.0.1", "peers": peers}


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
    query = asked_of(tmp_path / "x")
    assert pass_on.main(query) == 0
    said = json.loads(capsys.readouterr().out.removeprefix(":: "))
    assert said["url"].startswith("http://127.0.0.1:")


@contextlib.contextmanager
def process(query):
    """The program as it is sent, in a process of its own: its pid and where it gives the file."""
    with subprocess.Popen(
        [sys.executable, "-Iu", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as made:
        made.stdin.write(remote.program("pass_on", query))
        made.stdin.close()
        try:
            yield made.pid, json.loads(made.stdout.readline().removeprefix(":: "))["url"]
        finally:
            made.kill()


def test_it_runs_as_it_is_sent(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    with process(asked_of(path)) as (_, url):
        assert get(url)[2] == CONTENT


# Neighbours

NEIGHBOURS = [f"127.0.0.{n}" for n in range(2, 42)]


def port_of(url):
    return int(url.split(":")[2].partition("/")[0])


def test_forty_requests_without_an_end_take_neither_memory_nor_threads(tmp_path):
    """The finding: Python's own server took 21 to 247 MB for them, and a thread for each."""
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    let_in(tmp_path, "127.0.0.1", *NEIGHBOURS)
    with process(asked_of(path)) as (pid, url):
        before = peak_kib(pid)
        with asking_without_an_end(port_of(url), NEIGHBOURS):
            assert peak_kib(pid) - before < 8 * 1024
            assert threads(pid) <= 2 + pass_on.MOST_CONNECTIONS
            assert wait_for(lambda: get(url)[2] == CONTENT)


def test_idle_connections_are_let_go_of_and_no_neighbour_has_many(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    let_in(tmp_path, "127.0.0.1", *NEIGHBOURS[:2])
    with process(asked_of(path)) as (pid, url), contextlib.ExitStack() as stack:
        for neighbour in NEIGHBOURS[:2] * 100:
            stack.enter_context(
                socket.create_connection(("127.0.0.1", port_of(url)), 20, (neighbour, 0))
            )
        assert threads(pid) <= 2 + 2 * pass_on.MOST_EACH
        assert get(url)[2] == CONTENT
        assert wait_for(lambda: threads(pid) == 2)


@pytest.mark.parametrize("damaged", ["", "{", None])
def test_without_a_list_of_nodes_it_lets_nobody_in_and_serves_on(tmp_path, damaged):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"model")
    with passing(path, 5) as server:
        peers = tmp_path / "peers"
        peers.unlink() if damaged is None else peers.write_text(damaged)
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            get(server.url())
        let_in(tmp_path, "127.0.0.1")
        assert get(server.url())[0] == 200


def test_who_is_no_node_of_the_run_is_let_go_of_before_a_byte_is_read(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    peers = let_in(tmp_path, "127.0.0.9")
    with process(asked_of(path) | {"peers": peers}) as (_, url):
        with pytest.raises((OSError, http.client.HTTPException)):
            get(url)
        # A later run finds it under way, and lets its own nodes in.
        let_in(tmp_path, "127.0.0.9", "127.0.0.1")
        assert get(url)[2] == CONTENT


def wait_for(condition):
    """Whether it holds at last: what comes in between, such as a refused connection, is no answer."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return True
        time.sleep(0.05)
    return False


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
    query = {
        "unit": "bramble-x",
        "program": "",
        "properties": {},
        "whole": whole,
        "peers": ["10.0.0.1"],
    }
    return start_passing.main(query)


def test_where_the_file_can_be_had_is_the_answer(units, capsys):
    assert start() == 0
    assert remote.answer(capsys.readouterr().out) == {"url": "http://x/y"}


@pytest.mark.parametrize("runs", [True, False])
def test_a_program_that_says_nothing_is_told_with_its_log(units, capsys, runs):
    units.log, units.runs = "OSError: cannot assign requested address\n", runs
    assert start() == 1
    assert "cannot assign" in capsys.readouterr().err


def test_a_file_that_is_gone_is_not_passed_on(units, tmp_path, capsys):
    assert start(str(tmp_path / "gone.gguf")) == 1
    assert "gone.gguf is not there" in capsys.readouterr().err
    assert units.started == 0


@pytest.mark.parametrize("runs", [True, False])
def test_nodes_of_a_run_under_way_stay_let_in_beside_those_of_this_one(units, tmp_path, runs):
    folder = tmp_path / "bramble-x"
    folder.mkdir()
    (folder / "peers").write_text('["10.0.0.2"]')
    units.runs = runs
    assert start() == 0
    wanted = ["10.0.0.1", "10.0.0.2"] if runs else ["10.0.0.1"]
    assert json.loads((folder / "peers").read_text()) == wanted
