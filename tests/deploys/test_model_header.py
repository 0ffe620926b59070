"""Where this computer cannot reach a model's address, its node reads the header there."""

import json
from types import SimpleNamespace

import pytest

from bramble.fit import ahead
from bramble.models.dims import Dims
from bramble.models.source import SourceError
from bramble.pyinfra import connection, model_header
from bramble.remote import read_start
from tests.shapes.models import all_shapes
from tests.shapes.writer import Shape
from tests.unit.remote.scripted_server import serving

BIG = all_shapes()["llama-3.1-8b-q4_k_m"]


@pytest.fixture
def node(monkeypatch, capsys):
    """A node that runs the real program here, and what it was asked for."""
    made = SimpleNamespace(asked=[], says=None)

    def run(host, program, query, timeout_s):
        made.asked.append((program, query))
        if made.says is None:
            read_start.main(query)
        return made.says or (True, capsys.readouterr().out)

    monkeypatch.setattr(connection, "run", run)
    return made


@pytest.fixture
def server():
    """A server that has the start of a big model."""
    tokens = [f"token {n:026}" for n in range(60_000)]
    shape = Shape("big", {**BIG.metadata, "tokenizer.ggml.tokens": tokens}, BIG.tensors)
    with serving(shape.header() + bytes(1 << 20)) as made:
        yield made


def test_a_header_comes_in_as_few_parts_as_it_takes(node, server):
    size = len(server.content)
    with pytest.raises(SourceError, match=f"The file has {size} bytes, and its header describes"):
        model_header.by_node(None)(server.url)
    # The last one finds the end of so short a file.
    assert [query["start"] for _, query in node.asked] == [0, 1 << 20, size]


def test_the_node_is_asked_only_where_this_computer_cannot_read_it(node, server, monkeypatch):
    ahead._from_here.cache_clear()
    server.head = (server.content, 8 << 30)
    read = model_header.by_node(None)
    assert isinstance(ahead._of_address(server.url, read), Dims)
    assert node.asked == []
    here = "it cannot be reached."
    monkeypatch.setattr(ahead, "_from_here", lambda url: here)
    assert isinstance(ahead._of_address(server.url, read), Dims)
    assert node.asked
    server.head = (b"<html>", 6)
    said = ahead._of_address(server.url, read)
    assert said.startswith(f"{here} ")
    assert "web page" in said


@pytest.mark.parametrize(
    "says",
    [
        (False, "no python"),
        (True, "no json"),
        (True, json.dumps({"problem": "404 Not Found"})),
        (True, json.dumps({"data": "!", "whole": 1})),
        (True, json.dumps({"data": "AAAA", "whole": 1})),
        (True, "[]"),
    ],
)
def test_an_answer_that_is_none_is_said(node, says):
    node.says = says
    with pytest.raises(SourceError, match="the node"):
        model_header.by_node(None)("http://models.example.org/a.gguf")
