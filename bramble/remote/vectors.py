"""What a server of vectors answers on its node: embeddings of texts, and scores of documents.

The known answer is one of numbers alone, unless a text is expected: that must be nearer to the question
than a text about something else.
"""

import math
import time

from bramble.remote import local_http

UNRELATED = "A ferry leaves for the island at noon."
SPEED_TEXTS, SPEED_ROUNDS = 8, 3
# The arguments of llama-server that make it one.
ARGUMENTS = {"embeddings": "--embeddings", "reranking": "--reranking"}


class AnswerError(Exception):
    """An answer other than the expected one, in words."""


def task_of(unit):
    """Return the task of a llama-server by its unit's text."""
    words = unit.split()
    return next((task for task, flag in ARGUMENTS.items() if flag in words), "chat")


def answer(task, url, query, timeout_s):
    """Return in words what the server answers; raise AnswerError where it is not as expected.

    `name` of the query is the model's, by which a server of several chooses.
    """
    if task == "embeddings":
        return embedded(url, query, timeout_s)
    return ranked(url, query, timeout_s)


def embedded(url, query, timeout_s):
    """Have the question embedded; return the size of its vector."""
    question, expect = query["question"], query["expect"]
    texts = [question, UNRELATED, *([expect] if expect else [])]
    found = vectors(url, query, texts, timeout_s)
    size, wanted = len(found[0]), query["dimensions"]
    if wanted and size != wanted:
        raise AnswerError(
            f"its vector has {size} numbers, wanted {wanted} (the model's width, or serving.dimensions)"
        )
    if expect and likeness(found[0], found[2]) <= likeness(found[0], found[1]):
        raise AnswerError(no_nearer(query))
    return f"a vector of {size} finite numbers"


def ranked(url, query, timeout_s):
    """Have two documents scored for the question; return the scores."""
    documents = [UNRELATED, query["expect"] or query["question"]]
    other, expected = scores(url, query, documents, timeout_s)
    if query["expect"] and expected <= other:
        raise AnswerError(no_nearer(query))
    return f"scores of {expected:.3f} and {other:.3f}"


def no_nearer(query):
    """Say that the expected text is not found to be the nearer one."""
    return (
        f"{query['expect']!r} ({setting(query)}) is no nearer to {query['question']!r} than "
        f"{UNRELATED!r}"
    )


def setting(query):
    """Return the setting that has what is expected: of a model beside the first one, another."""
    return query.get("setting", "serving.expect")


def vectors(url, query, texts, timeout_s):
    """Return the vector of each text."""
    body = {"model": query["name"], "input": texts}
    reply = local_http.post(f"{url}/v1/embeddings", body, timeout_s, query.get("way"))
    found = {one["index"]: finite(one["embedding"]) for one in reply["data"]}
    if sorted(found) != [*range(len(texts))] or len({len(one) for one in found.values()}) != 1:
        raise AnswerError(f"it gave {len(found)} vectors of several sizes for {len(texts)} texts")
    if not all(any(one) for one in found.values()):
        raise AnswerError("its vector is zero")
    return [found[at] for at in range(len(texts))]


def scores(url, query, documents, timeout_s):
    """Return the score of each document."""
    body = {"model": query["name"], "query": query["question"], "documents": documents}
    reply = local_http.post(f"{url}/v1/rerank", body, timeout_s, query.get("way"))
    found = {one["index"]: one["relevance_score"] for one in reply["results"]}
    if sorted(found) != [*range(len(documents))]:
        raise AnswerError(f"it scored {len(found)} of {len(documents)} documents")
    return finite([found[at] for at in range(len(documents))])


def finite(values):
    """Return the numbers; raise AnswerError where one is none, which JSON has as null."""
    for value in values:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise AnswerError(f"one of its numbers is {value!r}")
    return values


def likeness(one, other):
    """Return the cosine of the angle between two vectors."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


def speed(task, url, name, question, timeout_s):
    """Return the tokens that are read in a second: the median of a few rounds of other texts."""
    rates = []
    for number in range(SPEED_ROUNDS):
        # No beginning is an earlier one's, which would be read no more.
        texts = [f"{number}.{at} {question}" for at in range(SPEED_TEXTS)]
        path, body = "/v1/embeddings", {"model": name, "input": texts}
        if task == "reranking":
            body = {"model": name, "query": question, "documents": texts}
            path = "/v1/rerank"
        began = time.monotonic()
        reply = local_http.post(f"{url}{path}", body, timeout_s)
        rates.append(reply["usage"]["prompt_tokens"] / (time.monotonic() - began))
    return sorted(rates)[SPEED_ROUNDS // 2]
