"""Go back to the release that ran before, through the same gate, and stay there."""

from bramble.ops.run import begin, bring
from bramble.ops.upgrade import pin, predecessor
from bramble.ops.verification import finish

node = begin(predecessor)
bring(node, "engine")
bring(node, "model")
bring(node, "serving")
finish(node, "power", "engine", "model", "serving")
pin(node)
