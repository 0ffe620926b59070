"""Say what would land on nodes, from their settings and one look at each; nothing is changed."""

from bramble.pyinfra.run import gather_facts, tell_plan

node = gather_facts()
tell_plan(node)
