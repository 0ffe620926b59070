"""Make an inference node: every role in order, then its checks and one question to its model."""

from bramble.ops.run import begin, bring, finish

node = begin()
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
