"""Race variants of llama.cpp on a node; `bramble engine race` writes the winner to the lock."""

from bramble.ops.race import race
from bramble.ops.run import begin

race(begin())
