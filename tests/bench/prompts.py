"""What brings a system prompt back on a llama-server: a slot's saved file, the cache in memory, neither.

    python -m tests.bench.prompts LLAMA_SERVER

Models of three kinds: full attention, a sliding window, a recurrent state. Their weights are zeros, as
only tokens are counted; their vocabulary is the demo model's. Ends with what damaged files do.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gguf

from tests.shapes import writer
from tests.shapes.models import gemma3, llama, qwen35

DEMO = Path(__file__).parents[2] / "models" / "bramble-demo-q8_0.gguf"
PORT = 18777
URL = f"http://127.0.0.1:{PORT}"
ARGUMENTS = "--ctx-size 2048 --parallel 1 --threads 1 --batch-size 128 --ubatch-size 128 --fit off"
OTHERS = "--offline --no-ui --no-slots --load-mode mmap --ctx-checkpoints 4 --cache-ram"
PROMPT = " ".join(f"rule {i}: two plus {i} is {i + 2}." for i in range(54))


class Signed(int):
    """A number that GGUF has as int32, where the writer's own are uint32."""


def typed(value: Any, usual: Any = writer.typed) -> tuple[int, bytes]:
    """A value of a header, with types of tokens as llama.cpp wants them."""
    if isinstance(value, list) and isinstance(value[0], Signed):
        parts = [int.to_bytes(number, 4, "little", signed=True) for number in value]
        return 9, b"\5\0\0\0" + len(value).to_bytes(8, "little") + b"".join(parts)
    return usual(value)


def models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Small models of each kind, with the demo model's vocabulary."""
    fields = gguf.GGUFReader(DEMO).fields
    words = {
        name: field.contents() for name, field in fields.items() if name.startswith("tokenizer")
    }
    kinds = "tokenizer.ggml.token_type"
    words[kinds] = [Signed(kind) for kind in words[kinds]]
    count = len(words["tokenizer.ggml.tokens"])
    for kind, shape in (
        ("full attention", llama("full", "Q8_0", 4, 256, 512, 4, 2, count, 4096)),
        ("sliding window", gemma3("window", "Q8_0", 6, 256, 512, 1, 1, 256, vocab=count)),
        (
            "recurrent",
            qwen35(
                "state", "Q8_0", layers=4, embd=256, ff=512, heads=4, kv=2, v_heads=16, vocab=count
            ),
        ),
    ):
        shape.metadata |= words
        with patch.object(writer, "typed", typed):
            yield kind, shape.write(folder)


def post(path: str, body: Any) -> Any:
    """The server's answer: an error's is told like any other."""
    request = urllib.request.Request(
        URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


@contextmanager
def server(program: str, model: Path, saved: Path, cache_mib: int) -> Iterator[subprocess.Popen]:
    """A server on the loopback that is ready."""
    words = [program, "--model", model, "--host", "127.0.0.1", "--port", PORT, *ARGUMENTS.split()]
    words += [*OTHERS.split(), cache_mib, "--slot-save-path", saved]
    quiet = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    process = subprocess.Popen([*map(str, words)], stderr=subprocess.DEVNULL, env=quiet)
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{URL}/health", timeout=10).close()
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait()


def found(system: str, question: str) -> str:
    """How many of a prompt's tokens were there already."""
    texts = {"system": system, "user": question}
    messages = [{"role": role, "content": text} for role, text in texts.items()]
    body = {"messages": messages, "max_tokens": 4, "temperature": 0}
    timings = post("/v1/chat/completions", body)["timings"]
    return f"{timings['cache_n']} of {timings['cache_n'] + timings['prompt_n']}"


def damaged(saved: Path) -> Iterator[str]:
    """The file of a saved slot as a power cut or a bad disk leaves it, each by its name."""
    good = (saved / "good").read_bytes()
    half = len(good) // 2
    for name, data in (
        ("its first half", good[:half]),
        ("a tail of zeros", good[:half] + bytes(len(good) - half)),
        ("a flipped bit", good[:half] + bytes([good[half] ^ 1]) + good[half + 1 :]),
    ):
        (saved / name).write_bytes(data)
        yield name


def restored(name: str, process: subprocess.Popen) -> str:
    """What becomes of a server that is given this file."""
    try:
        answer = post("/slots/0?action=restore", {"filename": name})
    except OSError:
        return f"the server ends, exit status {process.wait()}"
    return str(answer.get("error", {}).get("message") or f"{answer['n_restored']} tokens restored")


def main() -> None:
    """Print the tokens that need not be computed again, by kind of model and by what is done."""
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, model in models(folder):
            saved = folder / model.stem
            saved.mkdir()
            for cache_mib in (0, 64):
                with server(program, model, saved, cache_mib):
                    found(PROMPT, "What is 2+2?")
                    post("/slots/0?action=save", {"filename": "good"})
                    found("", "What is 2+2?")
                    print(kind, f"after a question of others, --cache-ram {cache_mib}", end=": ")
                    print(found(PROMPT, "What is 3+3?"))
            with server(program, model, saved, 0):
                post("/slots/0?action=restore", {"filename": "good"})
                print(kind, "restored after a start:", found(PROMPT, "What is 4+4?"))
        for file in damaged(saved := folder / "full-q8_0"):
            with server(program, folder / "full-q8_0.gguf", saved, 0) as process:
                print(f"restoring {file}:", restored(file, process))


if __name__ == "__main__":
    main()
