"""Go back to the release that ran before, through the same gate, and stay there."""

from bramble.pyinfra.run import execute, gather_facts
from bramble.pyinfra.upgrade import pin, predecessor
from bramble.pyinfra.verification import verify

node = gather_facts(predecessor)
execute(node, "engine")
execute(node, "model")
execute(node, "serving")
# It watches what is planned now.
execute(node, "monitoring")
verify(node, "power", "engine", "model", "serving")
pin(node)
