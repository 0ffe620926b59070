"""Remove old models from nodes; what runs, what is planned and the predecessor stay."""

from bramble.pyinfra.run import begin, bring

node = begin()
bring(node, "model", "prune")
