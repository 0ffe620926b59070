"""The demo model's tokenizer: a small trained BPE vocabulary, encoded exactly as llama.cpp does.

GGUF calls this kind "llama" (sentencepiece): a space is written as U+2581, and of all neighbouring
pieces the pair whose concatenation has the highest score is joined first.  No piece spans two words
and none holds two digits, so a number is always read digit by digit.  What has no piece falls back
to bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

SPACE = "\u2581"
UNKNOWN, BOS, END, SYSTEM, USER, ASSISTANT = range(6)
CONTROLS = ["<unk>", "<s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LETTERS = [SPACE, *(chr(code) for code in range(33, 127))]

# One message is <|role|>content<|end|>; llama.cpp puts the <s> before the first one.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_WORD = re.compile(rf"{SPACE}?[A-Za-z]+|.", re.DOTALL)


def _words(text: str) -> list[str]:
    """Split a text where no piece ever joins: around words, digits and signs."""
    return _WORD.findall(text.replace(" ", SPACE))


def train_merges(texts: Iterable[str], count: int) -> list[str]:
    """Return the `count` most useful joined pieces, the first learned one first (plain BPE)."""
    words = Counter(word for text in texts for word in _words(text))
    split = {word: list(word) for word in words if len(word) > 1}
    merges: list[str] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in split.items():
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs:
            break
        left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(left + right)
        for pieces in split.values():
            _join(pieces, left, right)
    return merges


def _join(pieces: list[str], left: str, right: str) -> None:
    """Join every neighbouring (left, right) in place."""
    at = 0
    while at < len(pieces) - 1:
        if pieces[at] == left and pieces[at + 1] == right:
            pieces[at : at + 2] = [left + right]
        at += 1


@dataclass
class Tokenizer:
    """Text to token ids and back; the ids are: controls, bytes, characters, merges."""

    merges: list[str]
    _cache: dict[str, list[int]] = field(default_factory=dict, repr=False)

    @cached_property
    def pieces(self) -> list[str]:
        """Every token's text, by id."""
        return [*CONTROLS, *BYTES, *LETTERS, *self.merges]

    @cached_property
    def scores(self) -> list[float]:
        """Every token's score, by id: the earlier a merge was learned, the higher."""
        return [-float(max(0, at - self._first_merge)) for at in range(len(self.pieces))]

    @cached_property
    def _first_merge(self) -> int:
        return len(CONTROLS) + len(BYTES) + len(LETTERS)

    @cached_property
    def _ids(self) -> dict[str, int]:
        start = len(CONTROLS) + len(BYTES)
        return {piece: at for at, piece in enumerate(self.pieces) if at >= start}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a plain text, without BOS; control tokens are not recognized in it."""
        return [token for word in _words(text) for token in self._encode_word(word)]

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._cache:
            pieces = list(word)
            while best := self._best_pair(pieces):
                pieces[best[1] : best[1] + 2] = ["".join(pieces[best[1] : best[1] + 2])]
            self._cache[word] = [token for piece in pieces for token in self._piece_ids(piece)]
        return self._cache[word]

    def _best_pair(self, pieces: list[str]) -> tuple[int, int] | None:
        """Return (id, position) of the first-learned merge that two neighbours make, if any."""
        joined = (a + b for a, b in pairwise(pieces))
        known = [(self._ids[text], at) for at, text in enumerate(joined) if text in self._ids]
        return min(known, default=None)

    def _piece_ids(self, piece: str) -> list[int]:
        if piece in self._ids:
            return [self._ids[piece]]
        return [len(CONTROLS) + byte for byte in piece.encode()]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of plain tokens; control tokens vanish."""
        first_letter = len(CONTROLS) + len(BYTES)
        raw = b"".join(
            bytes([token - len(CONTROLS)])
            if token < first_letter
            else self.pieces[token].replace(SPACE, " ").encode()
            for token in tokens
            if token >= len(CONTROLS)
        )
        return raw.decode(errors="replace")

    def chat(
        self, turns: list[tuple[str, str]], system: str | None = None
    ) -> tuple[list[int], list[bool]]:
        """Return the ids of a chat and, for each id, whether the assistant has to write it.

        The ids are those of CHAT_TEMPLATE behind one BOS.
        """
        ids, own = [BOS], [False]

        def say(role: int, text: str) -> None:
            content = [*self.encode(text), END]
            ids.extend([role, *content])
            own.extend([False, *[role == ASSISTANT] * len(content)])

        if system is not None:
            say(SYSTEM, system)
        for question, answer in turns:
            say(USER, question)
            say(ASSISTANT, answer)
        return ids, own

    def prompt(self, question: str) -> list[int]:
        """Return the ids of a one-question chat up to where the assistant begins."""
        return [BOS, USER, *self.encode(question), END, ASSISTANT]
