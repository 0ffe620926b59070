"""How fast a model of llama-server computes now, from its counters as they were seen one after another.

Tokens of an answer are counted when it has ended, so until then its steps tell: each gives one token to
each conversation, where nothing is guessed and no prompt is read meanwhile. The server prints six digits
of a number, so a large counter tells only over a longer time.
"""

from collections import deque

DECODES, PER_DECODE = "llamacpp:n_decode_total", "llamacpp:n_busy_slots_per_decode"
PROMPT, ENDED = "llamacpp:prompt_tokens_total", "llamacpp:predicted_tokens_seconds"
BUSY = "llamacpp:requests_processing"
NEEDED = (DECODES, PER_DECODE, PROMPT, ENDED, BUSY)
KEPT_S = 60
# Half of the last of six digits, at most.
ROUNDED = 5e-6
EXACT = 1e6
# A difference of two roundings is believed from this many times its error on.
SURE = 5


class Speeds:
    """The counters of one model over the last minute; each `add` is a look at them."""

    def __init__(self, slots, guesses):
        self.slots, self.guesses = slots, guesses
        self.seen: deque[tuple[float, dict[str, float]]] = deque()
        self.tokens_per_s = self.prompt_per_s = None

    def add(self, at_s, told):
        """Take up what the server tells now; speeds are None where that cannot tell them."""
        if not all(name in told for name in NEEDED):
            self.seen.clear()
            self.tokens_per_s = self.prompt_per_s = None
            return
        if self.seen and any(told[n] < self.seen[-1][1][n] for n in (DECODES, PROMPT)):
            self.seen.clear()  # it was started again
        while self.seen and at_s - self.seen[0][0] > KEPT_S:
            self.seen.popleft()
        self.prompt_per_s = self._prompt(at_s, told)
        if self.prompt_per_s:
            self.seen.clear()
        self.seen.append((at_s, told))
        self.tokens_per_s = self._tokens()

    def _prompt(self, at_s, told):
        """Return the tokens of prompts in a second since the last look."""
        if not self.seen or at_s <= self.seen[-1][0]:
            return None
        then_s, then = self.seen[-1]
        return (told[PROMPT] - then[PROMPT]) / (at_s - then_s)

    def _tokens(self):
        """Return the tokens of answers in a second: of those that ended, else by the steps."""
        told = self.seen[-1][1]
        if self.slots == 1 and told[ENDED] > 0:
            return told[ENDED]
        if self.guesses:
            return 0.0 if self._is_idle() else None
        return self._by_steps()

    def _is_idle(self):
        """Return whether nothing was computed since the last look."""
        last = [told for _, told in list(self.seen)[-2:]]
        return len(last) == 2 and all(not told[BUSY] for told in last)

    def _by_steps(self):
        *before, (at_s, told) = self.seen
        for then_s, then in reversed(before):
            more, error = self._steps(told) - self._steps(then), self._error(told)
            if more > SURE * error or (more == 0 and not error):
                return more / (at_s - then_s)
        return 0.0 if self._is_idle() else None

    def _steps(self, told):
        """Return how many tokens the steps gave so far, to all conversations together."""
        return told[DECODES] * (1 if self.slots == 1 else told[PER_DECODE])

    def _error(self, told):
        """Return how far the difference of two numbers of steps may be off."""
        rounded = 2 * ROUNDED * told[DECODES] if told[DECODES] >= EXACT else 0
        return rounded if self.slots == 1 else rounded + 2 * ROUNDED * self._steps(told)
