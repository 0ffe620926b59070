"""Ask the model on this node one question; print one JSON object with the answer or the problem.

A server of vectors is asked for the question's, and its answer is in words.
"""

import json

from bramble.remote import local_http, vectors


def ask(query):
    """Return the answer's text, speed and build from /v1/chat/completions, decoded greedily.

    `name` is the model's, by which a server of several chooses.
    """
    body = {
        "model": query["name"],
        "messages": [{"role": "user", "content": query["question"]}],
        "max_tokens": query["max_tokens"],
        "temperature": 0,
    }
    reply = local_http.post(f"{query['url']}/v1/chat/completions", body, query["timeout_s"])
    return {
        "answer": reply["choices"][0]["message"]["content"],
        "tokens_per_second": reply.get("timings", {}).get("predicted_per_second"),
        "build": reply.get("system_fingerprint"),
    }


def numbers(query):
    """Return what a server of vectors answers, in the form of an answer."""
    said = vectors.answer(query["task"], query["url"], query, query["timeout_s"])
    return {"answer": said, "tokens_per_second": None, "build": None}


def main(query):
    """Ask the question; no answer is a result too, so the exit code is 0 either way."""
    try:
        print(json.dumps(ask(query) if query["task"] == "chat" else numbers(query)))
    except vectors.AnswerError as error:
        print(json.dumps({"problem": str(error)}))
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(json.dumps({"problem": f"{type(error).__name__}: {error}"}))
    return 0
