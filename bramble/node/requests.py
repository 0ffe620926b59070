"""Requests to a model, as the journal of a node tells them: llama-server's counts, HAProxy's lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from bramble import strict_json
from bramble.snapshot import UNREADABLE

# 2026-11-30T14:02:47+0000 llama-server[1044]: 0.53.508.315 I slot print_timing: id  0 | task 123 | ...
_LINE = re.compile(r"(?P<at>\d{4}-\S+T\S+) (?P<name>[\w.-]+)\[\d+\]: (?P<text>.*)")
_TIMING = re.compile(
    r"print_timing: id +(?P<slot>\d+) \| task (?P<task>\d+) \| +(?P<what>prompt eval|eval|total) time ="
    r" +(?P<ms>[\d.]+) ms / +(?P<tokens>\d+) tokens"
)
# Of several models each has a server that counts tasks of its own: [56919] 0.00.036.330 I slot ...
_SERVER_OF = re.compile(r"\[\d+\] ")
_ERROR = re.compile(r"send_error: task id = (?P<task>\d+), error: (?P<why>.*)")
SERVER, EDGE = "llama-server", "haproxy"


def requests(lines: Iterable[str]) -> Iterator[str]:
    """Yield a line for each request that the journal's lines (short-iso) tell of."""
    timings: dict[str, dict[str, tuple[float, int]]] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        at, name, text = found["at"], found["name"], found["text"]
        if name == SERVER:
            yield from (f"{at} {said}" for said in _of_server(text, timings))
        elif name == EDGE and text.startswith("{"):
            yield from (f"{at} {said}" for said in _of_edge(text))


def _of_server(text: str, timings: dict[str, dict[str, tuple[float, int]]]) -> Iterator[str]:
    """Yield what a line of llama-server's completes: it tells prompt, answer and sum one by one."""
    if error := _ERROR.search(text):
        yield f"model: refused: {error['why'].strip()}"
        return
    found = _TIMING.search(text)
    if found is None:
        return
    of_model = _SERVER_OF.match(text)
    task = f"{of_model[0] if of_model else ''}{found['task']}"
    of_task = timings.setdefault(task, {})
    of_task[found["what"]] = (float(found["ms"]) / 1000, int(found["tokens"]))
    if found["what"] == "total":
        yield _sentence(timings.pop(task))


def _sentence(parts: dict[str, tuple[float, int]]) -> str:
    prompt_s, prompt = parts.get("prompt eval", (0.0, 0))
    answer_s, answer = parts.get("eval", (0.0, 0))
    rate = f", {answer / answer_s:.1f} tokens/s" if answer_s and answer > 1 else ""
    return f"model: {prompt} tokens read in {prompt_s:.2f} s, {answer} written in {answer_s:.2f} s{rate}"


def _of_edge(text: str) -> Iterator[str]:
    """Yield HAProxy's line of a request; one that was not whole has none."""
    try:
        row: Any = strict_json.loads(text)
        who = row["client"] if row["client"] != "-" else "nobody"
        waited = row["queue_ms"] / 1000
        took = row["total_ms"] / 1000
        queue = f" after {waited:.2f} s in the queue" if waited > 0 else ""
        yield (
            f"edge: {who} from {row['from'].removeprefix('::ffff:')}: {row['method']} {row['path']} "
            f"{row['status']} in {took:.2f} s{queue}"
        )
    except UNREADABLE:
        return
