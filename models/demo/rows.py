"""Pack short chats into rows of equal length, so that no compute is spent on padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch
from example import Example
from tokenizer import BOS, Tokenizer
from torch import Tensor

from reports import node_name

SYSTEM_LINES = [
    "You are a helpful assistant.",
    "You are bramble-demo, a tiny model for trials and tests.",
    "You answer in one line.",
    "Be short.",
    "You help with nodes and models.",
]
SYSTEM_SHARE = 0.08  # of the chats
SECOND_TURN_SHARE = 0.10
TEXT_SHARE = 0.04  # of the rows are plain lines instead of chats, for llama-perplexity
TEXT_QUESTION_WEIGHT = 0.1  # a question's numbers cannot be foreseen, its wording can


Chat = tuple[list[int], list[float]]  # ids and, for each, the weight of predicting it
Row = tuple[list[int], list[int], list[float]]  # ids, number of the chat, weight


@dataclass
class Rows:
    """Some packed rows: ids, whose chat each token is of, and the weight of predicting it."""

    ids: Tensor  # [rows, tokens]
    chat: Tensor  # [rows, tokens], the chat's number within its row
    weight: Tensor  # [rows, tokens], 0 where nothing is to be learned

    def visible(self) -> Tensor:
        """Say who sees whom, [rows, 1, tokens, tokens]: the earlier tokens of the same chat."""
        same = self.chat[:, :, None] == self.chat[:, None, :]
        return same.tril()[:, None]


def _chat(tokenizer: Tokenizer, examples: Iterator[Example], rng: Random) -> Chat:
    turns = [next(examples)]
    while rng.random() < SECOND_TURN_SHARE:
        turns.append(next(examples))
    system = None
    if rng.random() < SYSTEM_SHARE:
        system = rng.choice([*SYSTEM_LINES, f"You run on {node_name(rng)}."])
    ids, own = tokenizer.chat([(turn.question, turn.answer) for turn in turns], system)
    return ids, [float(flag) for flag in own]


def _text(tokenizer: Tokenizer, examples: Iterator[Example], size: int) -> Chat:
    ids, weights = [BOS], [0.0]
    for example in examples:
        for line, weight in ((example.question, TEXT_QUESTION_WEIGHT), (example.answer, 1.0)):
            tokens = tokenizer.encode(f"{line}\n")
            ids += tokens
            weights += [weight] * len(tokens)
        if len(ids) >= size:
            return ids[:size], weights[:size]
    return ids, weights


def training_rows(
    tokenizer: Tokenizer, examples: Iterator[Example], seed: int, rows: int, size: int
) -> Iterator[Rows]:
    """Yield batches of `rows` rows of `size` tokens; a chat that overruns a row opens the next."""
    rng = Random(seed)
    waiting = _chat(tokenizer, examples, rng)
    while True:
        packed = []
        for _ in range(rows):
            if rng.random() < TEXT_SHARE:
                packed.append(_pad([_text(tokenizer, examples, size)], size))
                continue
            chats, used = [], 0
            while used + len(waiting[0]) <= size:
                chats.append(waiting)
                used += len(waiting[0])
                waiting = _chat(tokenizer, examples, rng)
                while len(waiting[0]) > size:
                    waiting = _chat(tokenizer, examples, rng)
            packed.append(_pad(chats, size))
        yield stack(packed)


def _pad(chats: list[Chat], size: int) -> Row:
    ids = [token for chat, _ in chats for token in chat]
    number = [at for at, (chat, _) in enumerate(chats) for _ in chat]
    weight = [value for _, weights in chats for value in weights]
    spare = size - len(ids)
    return ids + [BOS] * spare, number + [-1] * spare, weight + [0.0] * spare


def stack(packed: list[Row]) -> Rows:
    """Make tensors of packed rows."""
    ids, number, weight = zip(*packed, strict=True)
    return Rows(torch.tensor(ids), torch.tensor(number), torch.tensor(weight))


def single_rows(chats: list[tuple[list[int], list[bool]]]) -> Rows:
    """Put each chat in a row of its own, padded to the longest: for the evaluation."""
    size = max(len(ids) for ids, _ in chats)
    return stack([_pad([(ids, [float(flag) for flag in own])], size) for ids, own in chats])
