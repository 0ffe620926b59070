"""Requests to a model, as a host's journal tells them: llama-server's counts, HAProxy's lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from bramble import strict_json
from bramble.remote import timings
from bramble.snapshot import UNREADABLE

# 2026-11-30T14:02:47+0000 llama-server[1044]: 0.53.508.315 I slot print_timing: id  0 | task 123 | ...
_LINE = re.compile(r"(?P<at>\d{4}-\S+T\S+) (?P<name>[\w.-]+)\[\d+\]: (?P<text>.*)")
# Of several models each has a server that counts tasks of its own: [56919] 0.00.036.330 I slot ...
_SERVER_OF = re.compile(r"\[\d+\] ")
_ERROR = re.compile(r"send_error: task id = (?P<task>\d+), error: (?P<why>.*)")
SERVER, PROXY = "llama-server", "haproxy"
NO_NODE = "<NOSRV>"
"""What HAProxy calls the node of a request that none got."""
_LONGEST = 200


def requests(lines: Iterable[str]) -> Iterator[str]:
    """Yield a line for each request that the journal's lines (short-iso) tell of."""
    counted: dict[str, dict[str, tuple[float, int]]] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        at, name, text = found["at"], found["name"], found["text"]
        if name == SERVER:
            yield from (f"{at} {said}" for said in _of_server(text, counted))
        elif name == PROXY and text.startswith("{"):
            yield from (f"{at} {said}" for said in _of_proxy(text))


def _of_server(text: str, counted: dict[str, dict[str, tuple[float, int]]]) -> Iterator[str]:
    """Yield what a line of llama-server's completes: it tells prompt, answer and sum one by one."""
    if error := _ERROR.search(text):
        yield f"model: refused: {error['why'].strip()}"
        return
    found = timings.PATTERN.search(text)
    if found is None:
        return
    of_model = _SERVER_OF.match(text)
    task = f"{of_model[0] if of_model else ''}{found['task']}"
    of_task = counted.setdefault(task, {})
    of_task[found["what"]] = (float(found["ms"]) / 1000, int(found["tokens"]))
    if found["what"] == "total":
        yield _sentence(counted.pop(task))


def _sentence(parts: dict[str, tuple[float, int]]) -> str:
    prompt_s, prompt = parts.get("prompt eval", (0.0, 0))
    answer_s, answer = parts.get("eval", (0.0, 0))
    rate = f", {answer / answer_s:.1f} tokens/s" if answer_s and answer > 1 else ""
    return f"model: {prompt} tokens read in {prompt_s:.2f} s, {answer} written in {answer_s:.2f} s{rate}"


def _of_proxy(text: str) -> Iterator[str]:
    """Yield HAProxy's line of a request; one that was not whole has none."""
    try:
        row: Any = strict_json.loads(text)
        yield _of_gateway(row) if "node" in row else _of_edge(row)
    except UNREADABLE:
        return


def _of_edge(row: Any) -> str:
    """Return what a node's own way in tells: whom the node answered."""
    return f"edge: {_asked(row)} {row['status']} in {row['total_ms'] / 1000:.2f} s{_waited(row)}"


def _of_gateway(row: Any) -> str:
    """Return what a gateway tells: which node answered with which model, and how soon it began."""
    node, model = _text(row, "node"), _text(row, "model")
    by = "no node" if node == NO_NODE else node
    what = "" if model in ("", "-") else f" for {model}"
    began_s = row["first_byte_ms"] / 1000
    began = f", first byte after {began_s:.2f} s" if node != NO_NODE and began_s >= 0 else ""
    return (
        f"gateway: {_asked(row)}{what} by {by}: {row['status']} in {row['total_ms'] / 1000:.2f} s"
        f"{_waited(row)}{began}"
    )


def _asked(row: Any) -> str:
    client, address = _text(row, "client"), _text(row, "from").removeprefix("::ffff:")
    who = "nobody" if client == "-" else client
    return f"{who} from {address}: {_text(row, 'method')} {_text(row, 'path')}"


def _text(row: Any, name: str) -> str:
    """Return a text of a line, as long as one may be."""
    found = row[name]
    if not isinstance(found, str):
        raise TypeError(name)
    return found[:_LONGEST]


def _waited(row: Any) -> str:
    waited_s = row["queue_ms"] / 1000
    return f" after {waited_s:.2f} s in the queue" if waited_s > 0 else ""
