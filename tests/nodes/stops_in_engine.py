"""A deploy that stops after so many of the engine's steps (`--data steps=N`), to be killed there."""

import threading

from pyinfra.context import host

from bramble.pyinfra import delivery
from bramble.pyinfra.run import execute, gather_facts

deliver = delivery.deliver
delivered = []


def deliver_and_stop(host, step, report):
    """Deliver a step; never end after the last one."""
    problem = deliver(host, step, report)
    delivered.append(step.name)
    if len(delivered) == steps:
        host.log("stopped between two steps")
        threading.Event().wait()
    return problem


steps = int(host.data.steps)
delivery.deliver = deliver_and_stop
execute(gather_facts(), "engine")
