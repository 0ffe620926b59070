"""Questions to a llama-server over HTTP, on the node where it runs."""

import statistics

from bramble.remote import local_http, vectors

ASK_TIMEOUT_S = 300
ANSWER_TOKENS, SPEED_TOKENS, SPEED_ROUNDS = 64, 32, 3
# All that an unusable answer may raise.
NONSENSE = (OSError, ValueError, LookupError, TypeError, AttributeError)


AnswerError = vectors.AnswerError


def health(url):
    """Return the server's answer at /health: "HTTP 200" where it is healthy."""
    try:
        status, _ = local_http.exchange(f"{url}/health", 10)
    except (OSError, ValueError) as error:
        return str(error)
    return f"HTTP {status}"


def post(url, body, timeout_s=ASK_TIMEOUT_S, way=None):
    """Return the JSON that the server answers to JSON."""
    return local_http.post(url, body, timeout_s, way)


def golden(url, query, timeout_s):
    """Return the answer to the question, decoded greedily; raise AnswerError for another one.

    The server is reached by the query's `way`, where it has one.
    """
    question, expect = query["question"], query["expect"]
    body = {
        "model": query["name"],
        "messages": [{"role": "user", "content": question}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
    }
    reply = post(f"{url}/v1/chat/completions", body, timeout_s, query.get("way"))
    answer = reply["choices"][0]["message"]["content"].strip()
    if not answer or (expect is not None and expect not in answer):
        wanted = f"an answer with {expect!r} ({vectors.setting(query)})" if expect else "an answer"
        raise AnswerError(f"it answered {answer!r} to {question!r}, wanted {wanted}")
    return answer


def known(task, url, query, timeout_s=ASK_TIMEOUT_S):
    """Return the known answer of a server of this task; raise AnswerError for another one."""
    if task == "chat":
        return golden(url, query, timeout_s)
    return vectors.answer(task, url, query, timeout_s)


def speed(task, url, query):
    """Return tokens per second: the median of a few completions of equal length, or of texts read."""
    name, prompt = query["name"], query["question"]
    if task != "chat":
        return vectors.speed(task, url, name, prompt, ASK_TIMEOUT_S)
    body = {
        "model": name,
        "prompt": prompt,
        "n_predict": SPEED_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    replies = [post(f"{url}/completion", body) for _ in range(SPEED_ROUNDS)]
    return statistics.median(float(reply["timings"]["predicted_per_second"]) for reply in replies)
