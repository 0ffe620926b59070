"""Bring the system under an inference node to its plan, without llama.cpp, model and service."""

from bramble.pyinfra.run import begin, bring
from bramble.pyinfra.verification import finish

node = begin()
bring(node, "base")
bring(node, "storage")
bring(node, "memory")
bring(node, "power")
bring(node, "boot")
bring(node, "watchdog")
finish(node, "base", "storage", "memory", "boot", "power", "watchdog")
