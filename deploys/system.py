"""Bring the system under an inference node to its plan, without llama.cpp, model and service."""

from bramble.deploys import base, boot, memory, power, storage, verify, watchdog

base()
storage()
memory()
power()
boot()
watchdog()
verify("base", "storage", "memory", "boot", "power", "watchdog")
