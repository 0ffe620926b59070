"""What lies between an HTTP client and an SSH channel, which is a socket here as it acts like one."""

import socket
import threading

import pytest

from bramble.ssh import client


@pytest.fixture
def pumped():
    """The reader's end, the node's end, and the thread between them."""
    reader, plain = socket.socketpair()
    node, channel = socket.socketpair()
    thread = threading.Thread(target=client._pump, args=(plain, channel), daemon=True)
    thread.start()
    yield reader, node, thread
    reader.close()
    node.close()
    thread.join(timeout=10)


def test_bytes_are_carried_both_ways(pumped):
    reader, node, _ = pumped
    reader.sendall(b"question")
    assert node.recv(100) == b"question"
    node.sendall(b"answer")
    assert reader.recv(100) == b"answer"


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_that_had_enough_ends_it_without_a_word(pumped):
    reader, node, thread = pumped
    reader.sendall(b"question")
    assert node.recv(100) == b"question"
    reader.shutdown(socket.SHUT_RD)
    node.sendall(b"the rest of an answer")
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert node.recv(100) == b""
