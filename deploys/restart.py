"""Restart llama-server on nodes as it is, and check what serves; nothing else is changed."""

from bramble.pyinfra.run import execute, gather_facts
from bramble.pyinfra.verification import verify

node = gather_facts()
execute(node, "serving", "restart")
verify(node, "serving")
