#!/usr/bin/env python3
"""Make the demo model: generate its text, train it, measure it on held-out questions, export it.

    pip install -e '.[demo-model]'
    python models/demo/train.py

Writes bramble-demo-f16.gguf, bramble-demo-q8_0.gguf and their provenance bramble-demo.yml.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import gguf
import torch
import yaml
from corpus import held_out_set, stream
from example import Example
from export import write_gguf
from model import Llama, Shape
from rows import Rows, single_rows, training_rows
from tokenizer import Tokenizer, train_merges
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
# Everything that decides what comes out; the provenance holds their sums.
MADE_BY = [
    "train.py", "corpus.py", "example.py", "sums.py", "words.py", "reports.py", "language.yml",
    "tokenizer.py", "rows.py", "model.py", "export.py",
]  # fmt: skip
SEED = 20261121
VOCAB_SAMPLE = 40_000  # questions and answers that the vocabulary is learned from
MERGES = 667  # brings the vocabulary to 1024
PEAK_LR, LAST_LR, WARM_UP = 3e-3, 5e-5, 60  # the last one in steps


def learn_vocabulary(seed: int) -> Tokenizer:
    """Return the tokenizer learned from the first training examples."""
    sample = islice(stream(seed), VOCAB_SAMPLE)
    return Tokenizer(train_merges((f"{e.question} {e.answer}" for e in sample), MERGES))


def learning_rate(step: int, steps: int) -> float:
    """Return the rate of a step: a short ramp up, then a cosine down."""
    done = max(0.0, (step - WARM_UP) / max(1, steps - WARM_UP))
    return min(1.0, (step + 1) / WARM_UP) * (
        LAST_LR + (PEAK_LR - LAST_LR) * 0.5 * (1 + math.cos(math.pi * done))
    )


def loss_sum(model: Llama, rows: Rows) -> torch.Tensor:
    """Return the weighted sum of the cross-entropy, in nats, of the tokens to be learned."""
    weight = rows.weight[:, 1:]
    learned = weight > 0
    hidden = model.hidden(rows.ids, rows.visible())[:, :-1][learned]
    losses = F.cross_entropy(
        model.logits(hidden).float(), rows.ids[:, 1:][learned], reduction="none"
    )
    return (losses * weight[learned]).sum()


def gradients(model: Llama, rows: Rows) -> tuple[float, tuple[torch.Tensor, ...]]:
    """Return the loss sum of some rows and its gradients, in the order of the parameters."""
    # bfloat16 for the products only: weights, norms and the optimizers stay in float32.
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_sum(model, rows)
    return loss.item(), torch.autograd.grad(loss, list(model.parameters()))


def set_gradients(model: Llama, halves: list[Rows], workers: Executor) -> float:
    """Put the mean gradients of all rows in place, each half made by a worker; return the loss."""
    total = sum(float(half.weight[:, 1:].sum()) for half in halves)
    results = list(workers.map(partial(gradients, model), halves))
    for parameter, *parts in zip(model.parameters(), *(grads for _, grads in results), strict=True):
        parameter.grad = torch.stack(parts).sum(0) / total
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return sum(loss for loss, _ in results) / total


def optimizers(model: Llama) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the layers and AdamW for the embedding and the norms.

    In a trial on sums alone, 81 % of the held-out additions were right after 520 steps with Muon,
    4 % after 650 steps with AdamW.  Two Muons share the matrices, so that two workers can step.
    """
    matrices = [p for p in model.blk.parameters() if p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() == 1]
    return [
        *(
            torch.optim.Muon(matrices[at::2], weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
            for at in range(2)
        ),
        torch.optim.AdamW([model.token_embd.weight, *norms], betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(model: Llama, batches: Iterator[Rows], steps: int) -> None:
    """Train in place; all optimizers follow one learning rate.

    Two workers of one thread each meet twice per step.  PyTorch's own threads meet in every
    operation, which is several times slower on a machine that also does other work.
    """
    all_optimizers = optimizers(model)
    began = time.monotonic()
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as workers:
        for step in range(steps):
            loss = set_gradients(model, list(islice(batches, 2)), workers)
            for optimizer in all_optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step, steps)
            list(workers.map(lambda optimizer: optimizer.step(), all_optimizers))
            if step % 100 == 0 or step == steps - 1:
                seconds = time.monotonic() - began
                print(f"step {step:5d}  loss {loss:.4f}  {seconds:6.0f} s", flush=True)


@torch.no_grad()
def right_answers(model: Llama, tokenizer: Tokenizer, examples: list[Example]) -> list[bool]:
    """Tell for each example whether greedy decoding gives exactly its answer.

    Greedy decoding gives the answer when every token of it, the end included, is the most likely
    one after those before it; so one pass over question and answer decides it.
    """
    right: list[bool] = []
    for start in range(0, len(examples), 64):
        chats = [tokenizer.chat([(e.question, e.answer)]) for e in examples[start : start + 64]]
        rows = single_rows(chats)
        best = model.logits(model.hidden(rows.ids, rows.visible())).argmax(-1)
        wrong = (best[:, :-1] != rows.ids[:, 1:]) & (rows.weight[:, 1:] > 0)
        right += (~wrong.any(1)).tolist()
    return right


def accuracy(
    model: Llama, tokenizer: Tokenizer, examples: list[Example]
) -> dict[str, dict[str, int]]:
    """Return how many were asked and how many answered rightly, by category and in all."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: {"asked": 0, "right": 0})
    for example, right in zip(examples, right_answers(model, tokenizer, examples), strict=True):
        for name in ("all", example.category):
            counts[name]["asked"] += 1
            counts[name]["right"] += right
    return dict(counts)


def rounded_to_f16(model: Llama) -> Llama:
    """Return the model with its matrices as the F16 file holds them, to measure what is shipped."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.copy_(parameter.half().float())
    return model


def file_facts(path: Path) -> dict[str, Any]:
    """Return a file's name, size in bytes and sha256."""
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": sha256(content).hexdigest()}


def main() -> None:
    """Run the whole way from the seed to the files."""
    parser = argparse.ArgumentParser(description="Make the demo model.")
    parser.add_argument("--out", type=Path, default=HERE.parent, help="folder of the files")
    parser.add_argument("--steps", type=int, default=1400, help="training steps")
    parser.add_argument("--rows", type=int, default=8, help="rows of 256 tokens per step")
    parser.add_argument("--held-out", type=int, default=200, help="questions per category")
    options = parser.parse_args()

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    tokenizer = learn_vocabulary(SEED)
    model = Llama(Shape(vocab=len(tokenizer.pieces)))
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters} parameters, {len(tokenizer.pieces)} tokens", flush=True)

    began = time.monotonic()
    batches = training_rows(tokenizer, stream(SEED), SEED, options.rows // 2, size=256)
    train(model, batches, options.steps)
    seconds = round(time.monotonic() - began)

    figures = accuracy(rounded_to_f16(model), tokenizer, held_out_set(options.held_out))
    for name, count in figures.items():
        share = count["right"] / count["asked"]
        print(f"held out: {name:12s} {share:.1%} ({count['right']} of {count['asked']})")

    files = []
    for kind in (gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.Q8_0):
        path = options.out / f"bramble-demo-{kind.name.lower()}.gguf"
        write_gguf(path, model, tokenizer, kind)
        files.append(file_facts(path))
    provenance = {
        "name": "bramble-demo",
        "licence": "MIT",
        "made_by": [file_facts(HERE / name) for name in MADE_BY],
        "made_on": datetime.date.today().isoformat(),
        "seed": SEED,
        "torch": str(torch.__version__),
        "architecture": "llama",
        "parameters": parameters,
        "shape": vars(model.shape),
        "training": {
            "steps": options.steps,
            "tokens_per_step": options.rows * 256,
            "seconds": seconds,
        },
        "held_out_accuracy": figures,
        "files": files,
    }
    text = yaml.safe_dump(provenance, sort_keys=False, width=100)
    (options.out / "bramble-demo.yml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
