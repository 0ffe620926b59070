"""Race variants of llama.cpp on a node; `bramble engine race` writes the winner to the lock."""

from bramble.pyinfra.race import race
from bramble.pyinfra.run import gather_facts

race(gather_facts())
