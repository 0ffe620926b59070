"""Make an inference node: every role in order, then its checks and one question to its model."""

from bramble.pyinfra.run import accept, begin, bring
from bramble.pyinfra.verification import finish

node = begin()
accept(node)
bring(node, "base")
bring(node, "storage")
bring(node, "memory")
bring(node, "power")
bring(node, "boot")
bring(node, "engine")
bring(node, "model")
bring(node, "serving")
bring(node, "watchdog")
finish(node)
