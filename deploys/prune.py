"""Remove old models from nodes; what runs, what is planned and the predecessor stay."""

from bramble.pyinfra.run import execute, gather_facts

node = gather_facts()
execute(node, "model", "prune")
