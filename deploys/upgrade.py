"""Bring nodes to their planned release and model, each through its gate, and check what serves."""

from bramble.pyinfra.run import accept, begin, bring
from bramble.pyinfra.upgrade import try_again
from bramble.pyinfra.verification import finish

node = begin()
accept(node)
try_again(node)
bring(node, "engine")
bring(node, "model")
bring(node, "serving")
finish(node, "power", "engine", "model", "serving")
