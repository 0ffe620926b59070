"""Known answers of servers of vectors: numbers, as many as planned, and what is expected the nearer."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from bramble.remote import ask, vectors

QUESTION = "What is 2+2?"
NAN = float("nan")


@pytest.fixture
def server():
    """A server of vectors that makes them of each text as told, and remembers what it was asked."""
    made = SimpleNamespace(asked=[], vector=lambda text: [1.0, 0.5], score=len, drop=False)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.asked.append((self.path, body))
            text = json.dumps(made.reply(body)).replace("NaN", "null").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def reply(body):
        texts = body.get("input", body.get("documents"))
        if "input" in body:
            found = [{"index": n, "embedding": made.vector(t)} for n, t in enumerate(texts)]
        else:
            found = [{"index": n, "relevance_score": made.score(t)} for n, t in enumerate(texts)]
        # Results need not come in the order of the texts.
        found = found[::-1][: -1 if made.drop else None]
        return {"data": found, "results": found, "usage": {"prompt_tokens": 10 * len(texts)}}

    made.reply = reply
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    http.shutdown()
    http.server_close()
    thread.join()


def said(server, task="embeddings", expect=None, dimensions=None):
    query = {"name": "m", "question": QUESTION, "expect": expect, "dimensions": dimensions}
    return vectors.answer(task, server.url, query, 60)


def turned(text):
    """A vector that points elsewhere for the text that nobody asks for."""
    return [0.0, 1.0] if text == vectors.UNRELATED else [1.0, 0.1]


@pytest.mark.parametrize(
    ("unit", "task"),
    [
        ("ExecStart=x \\\n    --metrics \\\n    --embeddings\n", "embeddings"),
        ("ExecStart=x --reranking --metrics\n", "reranking"),
        ("ExecStart=x --metrics\n", "chat"),
        ("ExecStart=x --alias my--embeddings\n", "chat"),
    ],
)
def test_a_task_is_known_by_the_units_arguments(unit, task):
    assert vectors.task_of(unit) == task


def test_a_vector_of_finite_numbers_is_an_answer(server):
    assert said(server, dimensions=2) == "a vector of 2 finite numbers"
    assert server.asked[0][0] == "/v1/embeddings"
    assert server.asked[0][1]["input"][0] == QUESTION


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ([1.0], "its vector has 1 numbers, wanted 2"),
        ([], "its vector is zero"),
        ([0.0, 0.0], "its vector is zero"),
        ([1.0, NAN], "one of its numbers is None"),
        ([1.0, "x"], "one of its numbers is 'x'"),
    ],
)
def test_a_vector_of_anything_else_is_none(server, vector, words):
    server.vector = lambda text: vector
    with pytest.raises(vectors.AnswerError, match=words):
        said(server, dimensions=2)


def test_vectors_of_several_sizes_and_too_few_are_no_answer(server):
    server.vector = lambda text: [1.0] * len(text)
    with pytest.raises(vectors.AnswerError, match="several sizes"):
        said(server)
    server.vector, server.drop = lambda text: [1.0], True
    with pytest.raises(vectors.AnswerError, match="1 vectors of several sizes for 2 texts"):
        said(server)


def test_what_is_expected_must_be_the_nearer_one(server):
    server.vector = turned
    assert said(server, expect="It is 4.")
    server.vector = lambda text: turned(vectors.UNRELATED if text == "It is 4." else text)
    with pytest.raises(vectors.AnswerError, match="no nearer to 'What is 2\\+2\\?' than 'A ferry"):
        said(server, expect="It is 4.")


def test_scores_of_documents_are_an_answer(server):
    server.score = {QUESTION: 2.5, vectors.UNRELATED: -1}.get
    assert said(server, "reranking") == "scores of 2.500 and -1.000"
    ((path, body),) = server.asked
    assert path == "/v1/rerank"
    assert (body["query"], body["documents"]) == (QUESTION, [vectors.UNRELATED, QUESTION])


def test_what_is_expected_must_have_the_better_score(server):
    server.score = {"It is 4.": 2, vectors.UNRELATED: 1}.get
    assert said(server, "reranking", expect="It is 4.")
    server.score = {"It is 4.": 1, vectors.UNRELATED: 1}.get
    with pytest.raises(vectors.AnswerError, match=r"\(serving\.expect\)"):
        said(server, "reranking", expect="It is 4.")


def test_scores_that_are_none_or_too_few_are_no_answer(server):
    server.score = lambda text: NAN
    with pytest.raises(vectors.AnswerError, match="one of its numbers is None"):
        said(server, "reranking")
    server.score, server.drop = len, True
    with pytest.raises(vectors.AnswerError, match="it scored 1 of 2 documents"):
        said(server, "reranking")


@pytest.mark.parametrize("task", ["embeddings", "reranking"])
def test_a_speed_is_of_tokens_that_are_read_anew_each_time(server, task):
    assert vectors.speed(task, server.url, "m", QUESTION, 60) > 0
    assert {body["model"] for _, body in server.asked} == {"m"}
    texts = [t for _, body in server.asked for t in body.get("input", body.get("documents"))]
    assert len({text[:4] for text in texts}) == vectors.SPEED_TEXTS * vectors.SPEED_ROUNDS


def asked(server, capsys, **more):
    query = {"url": server.url, "name": "m", "question": QUESTION, "timeout_s": 60, "expect": None}
    assert ask.main({**query, "task": "embeddings", "dimensions": 2, **more}) == 0
    return json.loads(capsys.readouterr().out)


def test_a_server_of_several_models_is_asked_for_one_by_its_name(server):
    for task in ("embeddings", "reranking"):
        said(server, task)
    assert [body["model"] for _, body in server.asked] == ["m", "m"]


def test_the_program_that_asks_says_an_answer_or_a_problem(server, capsys):
    found = asked(server, capsys)
    assert found == {
        "answer": "a vector of 2 finite numbers",
        "tokens_per_second": None,
        "build": None,
    }
    problem = asked(server, capsys, dimensions=3)["problem"]
    assert problem.startswith("its vector has 2 numbers, wanted 3")
    server.reply = lambda body: {}
    assert asked(server, capsys) == {"problem": "KeyError: 'data'"}
