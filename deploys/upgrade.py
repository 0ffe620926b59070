"""Bring nodes to their planned release and model, each through its gate, and check what serves."""

from bramble.pyinfra.run import accept, execute, gather_facts
from bramble.pyinfra.upgrade import try_again
from bramble.pyinfra.verification import verify

node = gather_facts()
accept(node)
try_again(node)
execute(node, "engine")
execute(node, "model")
execute(node, "serving")
# It watches what is planned now.
execute(node, "monitoring")
verify(node, "power", "engine", "model", "serving")
