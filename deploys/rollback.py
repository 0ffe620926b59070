"""Go back to the release that ran before, through the same gate, and stay there."""

from bramble.pyinfra.run import begin, bring
from bramble.pyinfra.upgrade import pin, predecessor
from bramble.pyinfra.verification import finish

node = begin(predecessor)
bring(node, "engine")
bring(node, "model")
bring(node, "serving")
finish(node, "power", "engine", "model", "serving")
pin(node)
