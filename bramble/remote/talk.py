"""What is asked of a llama-server over HTTP, on the node that it runs on."""

import statistics

from bramble.remote import local_http

ASK_TIMEOUT_S = 300
ANSWER_TOKENS, SPEED_TOKENS, SPEED_ROUNDS = 64, 32, 3
# Whatever a server may answer that is no answer.
NONSENSE = (OSError, ValueError, LookupError, TypeError, AttributeError)


class AnswerError(Exception):
    """An answer that is not the expected one, in words."""


def health(url):
    """What the server says at /health; "HTTP 200" is well."""
    try:
        status, _ = local_http.exchange(f"{url}/health", 10)
    except (OSError, ValueError) as error:
        return str(error)
    return f"HTTP {status}"


def post(url, body):
    """The JSON that the server answers to JSON."""
    return local_http.post(url, body, ASK_TIMEOUT_S)


def golden(url, question, expect):
    """The answer to the question, decoded greedily; what is not expected raises."""
    messages = [{"role": "user", "content": question}]
    body = {"messages": messages, "max_tokens": ANSWER_TOKENS, "temperature": 0}
    answer = post(f"{url}/v1/chat/completions", body)["choices"][0]["message"]["content"].strip()
    if not answer or (expect is not None and expect not in answer):
        wanted = f"an answer with {expect!r} (serving.expect)" if expect else "an answer"
        raise AnswerError(f"it answered {answer!r} to {question!r}, wanted {wanted}")
    return answer


def speed(url, prompt):
    """Tokens a second: the median of a few completions of the same length."""
    body = {
        "prompt": prompt,
        "n_predict": SPEED_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    replies = [post(f"{url}/completion", body) for _ in range(SPEED_ROUNDS)]
    return statistics.median(float(reply["timings"]["predicted_per_second"]) for reply in replies)
