"""HTTP with what listens on this node, against sockets that answer as they please."""

import socket
import threading
from contextlib import contextmanager

import pytest

from bramble.remote import local_http


@contextmanager
def answering(*parts):
    """A server that takes one request, sends these bytes and closes; gives its URL and what it got."""
    got = []

    def serve(server):
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as request:
            head = []
            while (line := request.readline()) not in (b"\r\n", b""):
                head.append(line)
            length = next((int(x.split(b":")[1]) for x in head if x.startswith(b"Content-Le")), 0)
            got.extend([*head, request.read(length)])
            for part in parts:
                connection.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/health", got
        thread.join(60)
        assert not thread.is_alive()


def test_a_get_asks_for_the_path_and_a_post_sends_json():
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as (url, got):
        assert local_http.exchange(url, 60) == (200, b"ok")
    assert got[0] == b"GET /health HTTP/1.0\r\n"
    with answering(b'HTTP/1.0 200 OK\r\n\r\n{"a": ', b"1}") as (url, got):
        assert local_http.post(url, {"q": "ä"}, 60) == {"a": 1}
    assert (got[0], got[-1]) == (b"POST /health HTTP/1.0\r\n", b'{"q": "\\u00e4"}')


def test_no_more_than_the_limit_is_read():
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789") as (url, _):
        assert local_http.exchange(url, 60, limit=4) == (200, b"1234")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_an_answer_in_chunks_is_put_together_and_ends_with_its_last_one():
    """llama-server's router answers so, to a request of HTTP/1.0 too."""
    parts = (CHUNKED, b"3\r\n12", b"3\r\nA;x=y\r\n4567890123\r\n0\r\n\r\n", b"more")
    with answering(*parts) as (url, _):
        assert local_http.exchange(url, 60) == (200, b"1234567890123")
    with answering(CHUNKED, b"9\r\n123456789\r\n0\r\n\r\n") as (url, _):
        assert local_http.exchange(url, 60, limit=4) == (200, b"1234")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "this is not HTTP"),
        (b"HTTP/2 200\r\n\r\n", "this is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "broke off in its head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12", "after 2 of 9 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n12", "nine"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 300, "more than 200 lines"),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 9000, "broke off in its head"),
        (CHUNKED, "after 0 bytes"),
        (CHUNKED + b"5\r\n123", "after 3 bytes"),
        (CHUNKED + b"3\r\n123", "after 3 bytes"),
        (CHUNKED + b"3\r\n123\r\n", "after 3 bytes"),
        (CHUNKED + b"x\r\n123\r\n", "invalid literal"),
    ],
)
def test_what_is_no_answer_is_told_as_such(answer, said):
    with answering(answer) as (url, _), pytest.raises(ValueError, match=said):
        local_http.exchange(url, 60)


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/", "http://127.0.0.1/", "127.0.0.1:80", ""])
def test_another_kind_of_address_is_refused(url):
    with pytest.raises(local_http.HttpError, match="no address of this node's"):
        local_http.exchange(url, 60)
