"""What HAProxy counts is passed on by the fewest figures, and its silence is told as that."""

import socket
import threading
from contextlib import contextmanager

import pytest

from bramble.remote import edge_state
from bramble.remote import exposition as written
from bramble.system import exposition
from bramble.system.exposition import value
from tests.unit.looks import recorded

# Of HAProxy 2.6.12 with the planned configuration: one wrong key, and seven requests at once where one
# is served and two may wait.
FIGURES = recorded("haproxy-metrics.2.6.12.txt").encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n\r\n"


@contextmanager
def answering(path, answer):
    """A socket of the file system that answers one request; what it was asked is in the list."""
    asked = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve():
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(60)


@pytest.fixture
def told(tmp_path):
    """What is passed on of HAProxy's answer, as Prometheus reads it."""
    path = tmp_path / "figures.sock"
    with answering(path, HEAD + FIGURES):
        found = edge_state.figures(str(path))
    return exposition.parse(written.text(edge_state.families({"queue": 2}, found)))


def test_answers_refusals_and_those_who_wait_are_told_in_twelve_figures(told):
    assert value(told, "bramble_edge_up") == 1
    answers = {c: value(told, "bramble_edge_requests_total", code=c) for c in ("2xx", "4xx", "5xx")}
    assert answers == {"2xx": 0, "4xx": 1, "5xx": 4}
    # The wrong key is no refusal of too much.
    assert value(told, "bramble_edge_refused_total") == 4
    assert value(told, "bramble_edge_refused_connections_total") == 0
    assert value(told, "bramble_edge_connections") == 3
    assert value(told, "bramble_edge_queued") == value(told, "bramble_edge_queue_places") == 2
    assert len(told) == 12


def test_only_two_kinds_of_figures_are_asked_for(tmp_path):
    with answering(tmp_path / "figures.sock", HEAD + FIGURES) as asked:
        edge_state.figures(str(tmp_path / "figures.sock"))
    assert asked[0].startswith(b"GET /metrics?scope=frontend&scope=backend HTTP/1.0\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        HEAD,
        HEAD + b'haproxy_frontend_current_sessions{proxy="another"} 1\n',
        HEAD + b'haproxy_frontend_current_sessions{proxy="edge"} many\n',
    ],
)
def test_an_answer_without_its_figures_is_none(tmp_path, answer):
    with answering(tmp_path / "figures.sock", answer):
        assert edge_state.figures(str(tmp_path / "figures.sock")) is None


def test_a_way_in_that_is_down_is_told_and_nothing_is_made_up(tmp_path):
    assert edge_state.figures(str(tmp_path / "none.sock")) is None
    told = exposition.parse(written.text(edge_state.families({"queue": 2}, None)))
    assert {one.name: one.value for one in told} == {
        "bramble_edge_up": 0,
        "bramble_edge_queue_places": 2,
    }
