"""Write the tables of docs/explanation/memory.md: the articles' figures beside bramble's.

`make docs` runs this; tests/unit/test_memory_page.py fails when a table is not what this makes. The
models are the shapes of tests/shapes: published dimensions, and the mixture of types that
llama-quantize gives; nothing is downloaded.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from bramble.bench import articles  # noqa: E402
from bramble.bench.articles import Row  # noqa: E402
from bramble.fit.memory import kv_bytes  # noqa: E402
from bramble.fit.speed import PUBLISHED, judge, speed  # noqa: E402
from bramble.fit.verdict import BOARDS, Fit, fit, request_for  # noqa: E402
from bramble.models import gguf  # noqa: E402
from bramble.models.geometry import Geometry, geometry  # noqa: E402
from tests.shapes import models as shapes  # noqa: E402

PAGE = ROOT / "docs" / "explanation" / "memory.md"
GB, MIB = 10**9, 1 << 20
AGREE = 0.10


def _qwen3b(quant: str) -> Any:
    return shapes.qwen2("qwen2.5-3b", quant, 36, 2048, 11008, 16, 2, 151936, tied=True)


def _mistral(quant: str) -> Any:
    return shapes.llama("mistral-7b", quant, 32, 4096, 14336, 32, 8, 32768, 32768)


KNOWN = shapes.all_shapes()
MAKERS: dict[str, Callable[[str], Any]] = {
    "Qwen2.5-3B": _qwen3b,
    "7B (as Mistral)": _mistral,
    "Llama-3.1-8B-pruned": shapes.pruned,
}
NAMES = {
    "Qwen2.5-1.5B": "qwen2.5-1.5b",
    "SmolLM2-1.7B": "smollm2-1.7b",
    "Llama-3.2-1B": "llama-3.2-1b",
    "Llama-3.2-3B": "llama-3.2-3b",
    "Mistral-7B": "mistral-7b-v0.3",
    "Llama-3-8B": "llama-3-8b",
    "Llama-3.1-8B": "llama-3.1-8b",
    "13B (as Llama 2)": "llama-2-13b",
    "TinyLlama-1.1B": "tinyllama-1.1b",
    "Qwen-0.5B": "qwen2.5-0.5b",
    "Qwen-1.8B": "qwen1.5-1.8b",
    "Phi-3-Mini": "phi-3-mini",
    "Phi-4-mini": "phi-4-mini",
    "Gemma-3-270M": "gemma-3-270m",
    "Gemma-3-1B": "gemma-3-1b",
    "Qwen3.5-0.8B": "qwen3.5-0.8b",
    "Qwen3.5-2B": "qwen3.5-2b",
    "Qwen3.5-4B": "qwen3.5-4b",
    "Qwen2.5-7B": "qwen2.5-7b",
}


# Article A's budget for 8 GB: weights, KV at 2048 and at 4096 tokens, verdict.
BUDGET = [
    ("Qwen2.5-1.5B", "Q4_K_M", 0.9, 0.2, 0.4, "yes"),
    ("SmolLM2-1.7B", "Q4_K_M", 1.0, 0.2, 0.4, "yes"),
    ("Qwen2.5-3B", "Q4_K_M", 1.9, 0.4, 0.8, "yes"),
    ("Llama-3.2-3B", "Q4_K_M", 2.0, 0.4, 0.8, "yes"),
    ("Mistral-7B", "Q4_K_M", 4.1, 0.8, 1.6, "borderline"),
    ("Mistral-7B", "Q3_K_M", 3.2, 0.8, 1.6, "yes, small context"),
    ("Llama-3.1-8B", "Q4_K_M", 4.7, 1.0, 2.0, "no (OOM)"),
    ("13B (as Llama 2)", "Q2_K", 5.1, 1.2, 2.4, "no (OOM)"),
]
# The KV cache of a 3B at Q4_K_M by context; C does not name its 3B.
CACHE = [
    ("A", "Qwen2.5-3B", 512, 0.1),
    ("A", "Qwen2.5-3B", 2048, 0.4),
    ("A", "Qwen2.5-3B", 4096, 0.8),
    ("A", "Qwen2.5-3B", 8192, 1.6),
    ("A", "Qwen2.5-3B", 16384, 3.2),
    ("A", "Qwen2.5-3B", 32768, 6.4),
    ("C", "Llama-3.2-3B", 1024, 0.2),
    ("C", "Llama-3.2-3B", 4096, 0.8),
    ("C", "Llama-3.2-3B", 8192, 1.6),
]
# Sizes of files, in GB; E's are those of its pruned 8B.
FILES = [
    ("A", "Qwen2.5-3B", "Q2_K", 1.3),
    ("A", "Qwen2.5-3B", "Q3_K_M", 1.7),
    ("A", "Qwen2.5-3B", "Q4_K_M", 2.2),
    ("A", "Qwen2.5-3B", "Q5_K_M", 2.7),
    ("A", "Qwen2.5-3B", "Q6_K", 3.1),
    ("A", "Qwen2.5-3B", "Q8_0", 3.8),
    ("A", "Qwen2.5-3B", "F16", 6.1),
    ("E", "Llama-3.1-8B-pruned", "Q4_K_M", 3.99),
    ("E", "Llama-3.1-8B-pruned", "Q3_K_M", 3.27),
    ("E", "Llama-3.1-8B-pruned", "F16", 12.99),
    ("E", "Llama-3.1-8B", "F16", 16.0),
]
# Every row with RAM or a speed; of ranges the upper end.
RUNS = [row for row in articles.rows() if row.board == "pi4"]
# Models of models.yml: each board gets the largest of them that fits with room to spare.
EXAMPLES = [
    ("qwen2.5-0.5b-instruct", "qwen2.5-0.5b"),
    ("qwen2.5-1.5b-instruct", "qwen2.5-1.5b"),
    ("qwen2.5-3b-instruct", "qwen2.5-3b"),
    ("qwen2.5-7b-instruct", "qwen2.5-7b"),
    ("llama-3.1-8b-instruct", "llama-3.1-8b"),
]


def model(name: str, quant: str) -> Geometry:
    """Return the dimensions of a model at a quant."""
    if name in MAKERS:
        return geometry(gguf.read(MAKERS[name](quant).header()))
    return geometry(gguf.read(KNOWN[f"{NAMES[name]}-{quant.lower()}"].header()))


def answer(found: Geometry, board: str = "pi4-8g", ctx: int = 2048) -> Fit:
    """Return bramble fit's answer."""
    return fit(found, BOARDS[board], request_for(found, ctx))


def tables() -> dict[str, str]:
    """Return every table of the page by name."""
    return {
        "boards": _table(
            "Board | MemTotal | Reserve | For the model | Example (`bramble fit`) | Weights | Keys and "
            "values | Buffer | In all | Verdict | Largest context | Tokens/s: usual (at most)",
            _boards(),
        ),
        "budget": _table(
            "Model | Weights: A | bramble | KV at 4096: A | bramble | A: fits 8 GB? | bramble, at 4096 "
            "| Who is right",
            _budget(),
        ),
        "cache": _table("Article | Model | Context | Its GB | bramble | Who is right", _cache()),
        "files": _table("Article | Model | Quant | Its GB | bramble | Who is right", _files()),
        "runs": _table(
            "Article | Model | Quant | Its RAM | bramble, at 2048 | Who is right | Its tokens/s | "
            "Usual | At most | bramble's word",
            _runs(),
        ),
    }


def _boards() -> Iterator[Sequence[object]]:
    for board, room in BOARDS.items():
        fitting = [
            (use, found)
            for use, shape in EXAMPLES
            if answer(found := _shape(f"{shape}-q4_k_m"), board).verdict == "yes"
        ]
        use, found = fitting[-1]
        reported = answer(found, board)
        fast = speed(found, PUBLISHED[board[:3]], request_for(found, 2048))
        assert fast.usual is not None
        yield (
            board,
            room.memory_mib,
            room.reserve_mib,
            room.available_mib,
            f"`{use}:q4_k_m --board {board}`",
            reported.weights_mib,
            reported.kv_mib,
            reported.compute_mib,
            reported.total_mib,
            reported.verdict,
            reported.max_ctx,
            f"{fast.usual[0]:g} to {fast.usual[1]:g} ({fast.most:g})",
        )


def _shape(name: str) -> Geometry:
    return geometry(gguf.read(KNOWN[name].header()))


def _budget() -> Iterator[Sequence[object]]:
    for name, quant, weights, _, kv, verdict in BUDGET:
        found = model(name, quant)
        reported = answer(found, ctx=4096)
        ours = _kv_gb(found, 4096)
        theirs = "no" if verdict.startswith("no") else "yes"
        right = "agree" if (reported.verdict != "no") == (theirs == "yes") else "bramble"
        words = f"{right}; of the KV cache: {_who(kv, ours)}"
        size = found.weights.file_bytes / GB
        yield (
            f"{name} {quant}",
            weights,
            f"{size:.2f}",
            kv,
            f"{ours:.2f}",
            verdict,
            f"{reported.verdict}, {reported.total_mib} of {reported.available_mib} MiB",
            words,
        )


def _cache() -> Iterator[Sequence[object]]:
    for article, name, ctx, theirs in CACHE:
        ours = _kv_gb(model(name, "Q4_K_M"), ctx)
        yield article, name, ctx, theirs, f"{ours:.2f}", _who(theirs, ours)


def _files() -> Iterator[Sequence[object]]:
    for article, name, quant, theirs in FILES:
        ours = model(name, quant).weights.file_bytes / GB
        # E's GB are GiB: 2^30 bytes.
        shown = ours * GB / (1 << 30) if article == "E" and theirs < 16 else ours
        unit = " GiB" if shown != ours else ""
        yield article, name, quant, f"{theirs}{unit}", f"{shown:.2f}", _who(theirs, shown)


def _runs() -> Iterator[Sequence[object]]:
    for row in RUNS:
        found = model(row.model, row.quant)
        reported = answer(found)
        ours = (reported.total_mib + 96) * MIB / GB  # with llama-server itself
        fast = speed(found, PUBLISHED["pi4"], request_for(found, 2048))
        assert fast.usual is not None
        highest = row.generation[1] if row.generation else None
        claim = judge(highest, fast, reported.verdict != "no") if highest else None
        yield (
            row.article,
            row.model,
            row.quant,
            row.ram or "",
            f"{ours:.2f} ({reported.verdict})",
            _right(row, ours, reported) if row.ram else "",
            highest or row.says,
            f"{fast.usual[0]:g} to {fast.usual[1]:g}",
            f"{fast.most:g}",
            f"{claim.verdict} ({claim.needs_gb_s:g} GB/s)" if claim else "",
        )


def _right(row: Row, ours: float, reported: Fit) -> str:
    """Say who is right on the memory, and on the verdict where the article says that it does not fit."""
    words = _who(row.ram or 0, ours)
    if row.says in ("does not fit", "OOM or heavy swap"):
        words += "; and on the verdict" if reported.verdict == "no" else "; but it fits: bramble"
    return words


def _kv_gb(found: Geometry, ctx: int) -> float:
    return kv_bytes(found, replace(request_for(found, ctx), ctx=ctx)) / GB


def _who(theirs: float, ours: float) -> str:
    """Say who is right: bramble where they differ, as its figures are compared with llama-fit-params."""
    # An article's figures have one decimal.
    if abs(theirs - ours) <= max(AGREE * ours, 0.051):
        return "agree"
    return f"bramble: {theirs / ours:.1f} times what is taken" if ours else "bramble"


def _table(head: str, rows: Iterator[Sequence[object]]) -> str:
    columns = head.count("|") + 1
    lines = [f"| {head} |", "|" + "---|" * columns]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def with_tables(page: str) -> str:
    """Return the page with every table as it is now."""
    for name, table in tables().items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(
            pattern, lambda m, t=table: f"{m[1]}\n{t}\n{m[2]}", page, flags=re.DOTALL
        )
        assert count == 1, f"no place for the table {name}"
    return page


if __name__ == "__main__":
    text = with_tables(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
