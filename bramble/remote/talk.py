"""What is asked of a llama-server over HTTP, on the node that it runs on."""

import http.client
import json
import statistics
import urllib.error
import urllib.request

ASK_TIMEOUT_S = 300
ANSWER_TOKENS, SPEED_TOKENS, SPEED_ROUNDS = 64, 32, 3
# Whatever a server may answer that is no answer.
NONSENSE = (OSError, ValueError, LookupError, TypeError, AttributeError, http.client.HTTPException)


class AnswerError(Exception):
    """An answer that is not the expected one, in words."""


def opened(request, timeout_s):
    """Open a local URL without any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=timeout_s)


def health(url):
    """What the server says at /health; "HTTP 200" is well."""
    try:
        with opened(f"{url}/health", 10) as answer:
            return f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error))


def post(url, body):
    """The JSON that the server answers to JSON."""
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with opened(request, ASK_TIMEOUT_S) as answer:
        return json.load(answer)


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
