"""Ask the model on this node one question; print one JSON object with the answer or the problem."""

import http.client
import json
import urllib.error
import urllib.request


def ask(query):
    """The answer's text, speed and build from /v1/chat/completions, decoded greedily."""
    body = {
        "messages": [{"role": "user", "content": query["question"]}],
        "max_tokens": query["max_tokens"],
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{query['url']}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=query["timeout_s"]) as answer:
        reply = json.load(answer)
    return {
        "answer": reply["choices"][0]["message"]["content"],
        "tokens_per_second": reply.get("timings", {}).get("predicted_per_second"),
        "build": reply.get("system_fingerprint"),
    }


def main(query):
    """Ask; a server that does not answer is a result too, so the exit code is 0 either way."""
    try:
        print(json.dumps(ask(query)))
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        print(json.dumps({"problem": f"{type(error).__name__}: {error}"}))
    return 0
