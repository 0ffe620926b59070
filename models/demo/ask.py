#!/usr/bin/env python3
"""Ask a running llama-server the held-out questions and print how many it answers rightly.

llama-server -m models/bramble-demo-q8_0.gguf --port 18099 -c 512 -np 1 &
python models/demo/ask.py http://127.0.0.1:18099

With --check-tokens it also compares the server's token ids with those of the training.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from corpus import held_out_set
from tokenizer import Tokenizer


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send JSON, return JSON."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def answer(url: str, question: str) -> str:
    """Return the server's greedy answer to one question."""
    body = {
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 64,
    }
    return post(f"{url}/v1/chat/completions", body)["choices"][0]["message"]["content"]


def read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer that a GGUF of the demo model carries."""
    from gguf import GGUFReader

    field = GGUFReader(path).fields["tokenizer.ggml.tokens"]
    pieces = [bytes(field.parts[at]).decode() for at in field.data]
    return Tokenizer(pieces[len(Tokenizer([]).pieces) :])


def server_tokens(url: str, question: str) -> list[int]:
    """Return the ids that the server makes of a one-question chat."""
    messages = [{"role": "user", "content": question}]
    prompt = post(f"{url}/apply-template", {"messages": messages})["prompt"]
    body = {"content": prompt, "add_special": True, "parse_special": True}
    return post(f"{url}/tokenize", body)["tokens"]


def main() -> None:
    """Ask, compare, print."""
    parser = argparse.ArgumentParser(description="Measure a served demo model.")
    parser.add_argument("url", help="the server, such as http://127.0.0.1:18099")
    parser.add_argument("--held-out", type=int, default=50, help="questions per category")
    parser.add_argument("--check-tokens", type=Path, metavar="GGUF", help="compare token ids too")
    parser.add_argument("--show-wrong", action="store_true", help="print the wrong answers")
    options = parser.parse_args()

    examples = held_out_set(options.held_out)
    if options.check_tokens:
        tokenizer = read_tokenizer(options.check_tokens)
        alike = [
            server_tokens(options.url, e.question) == tokenizer.prompt(e.question) for e in examples
        ]
        print(f"token ids: {sum(alike)} of {len(alike)} questions alike")
    asked, right = Counter[str](), Counter[str]()
    for example in examples:
        got = answer(options.url, example.question)
        for name in (example.category, "all"):
            asked[name] += 1
            right[name] += got == example.answer
        if options.show_wrong and got != example.answer:
            print(f"{example.question!r}: {got!r}, not {example.answer!r}")
    for name, count in asked.items():
        print(f"held out: {name:12s} {right[name] / count:.1%} ({right[name]} of {count})")


if __name__ == "__main__":
    main()
