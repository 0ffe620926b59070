"""Say what would land on nodes, from their settings and one look at each; nothing is changed."""

from bramble.pyinfra.run import begin, tell_plan

node = begin()
tell_plan(node)
