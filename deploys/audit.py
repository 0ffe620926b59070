"""Audit nodes: what a deploy would do, the checks, what is beside the plan; nothing is changed."""

from bramble.pyinfra.audit import audit

audit()
